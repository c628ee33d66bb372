# The gateway and the jobs. The inference server has a target of its own, because only it carries torch.
FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY candlecast candlecast
COPY gateway gateway
COPY jobs jobs
COPY inference_server inference_server
COPY migrations migrations
COPY sql sql
RUN useradd --create-home --uid 10001 candlecast

FROM base AS inference
RUN pip install -c constraints.txt ".[inference,chronos]"
USER candlecast
EXPOSE 8200
CMD ["python", "-m", "inference_server", "--host", "0.0.0.0", "--port", "8200"]

FROM python:3.12-slim AS scripts
COPY tools tools
RUN tools/scripts.sh python

FROM base AS app
COPY --from=scripts gateway/pages/static/vendor gateway/pages/static/vendor
RUN pip install -c constraints.txt ".[jobs,gateway]"
USER candlecast
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["python", "-m", "gateway", "--host", "0.0.0.0", "--port", "8000"]
