"""The shape of every error."""

from pydantic import BaseModel


class ProblemAnswer(BaseModel):
    """application/problem+json, RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str
