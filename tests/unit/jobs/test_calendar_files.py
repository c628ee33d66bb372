"""An archive of the calendar becomes vintages, and its broken rows a report."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs.providers.calendar_files import CalendarFileUnreadable, CalendarReport, read_calendar_file

HEADER = "ts,currency,event,impact,actual,forecast,previous\n"
JUNE = pd.Timestamp("2024-06-12T12:30:00Z")


def archive(folder: Path, *lines: str) -> tuple[pd.DataFrame, CalendarReport]:
    path = folder / "calendar.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return read_calendar_file(path)


def test_a_release_is_scheduled_sixty_days_ahead_without_values_and_printed_at_its_time(tmp_path: Path) -> None:
    frame, report = archive(tmp_path, "2024-06-12T12:30:00Z,USD,CPI y/y,High,3.3%,3.4%,3.4%")

    assert frame["known_at"].tolist() == [JUNE - pd.Timedelta(days=60), JUNE]
    assert frame["ts"].tolist() == [JUNE, JUNE]
    assert frame["entry_id"].tolist() == ["USD|cpi y/y|2024-06-12T12:30Z"] * 2
    assert frame["family"].tolist() == ["CPI"] * 2
    np.testing.assert_array_equal(frame["actual"], [np.nan, 3.3])
    np.testing.assert_array_equal(frame["forecast"], [np.nan, 3.4])
    assert frame["actual_text"].tolist() == ["", "3.3%"]
    assert (report.n_rows, report.n_entries, report.n_vintages, report.bad_rows) == (1, 1, 2, ())


def test_a_row_without_numbers_is_only_scheduled_and_a_speech_one_day_ahead(tmp_path: Path) -> None:
    frame, _ = archive(
        tmp_path,
        "2024-06-12T18:00:00Z,USD,FOMC Statement,High,,,",
        "2024-06-13T18:00:00Z,USD,Fed Chair Powell Speaks,High,,,",
    )

    lead = frame["ts"] - frame["known_at"]
    assert lead.tolist() == [pd.Timedelta(days=60), pd.Timedelta(days=1)]


def test_a_rate_decision_without_a_consensus_was_an_emergency_that_nobody_knew_of(tmp_path: Path) -> None:
    frame, report = archive(
        tmp_path,
        "2020-03-15T21:00:00Z,USD,FOMC Statement,High,,,",
        "2020-03-15T21:00:00Z,USD,Federal Funds Rate,High,<0.25%,,1.25%",
        "2020-03-15T22:30:00Z,USD,FOMC Press Conference,High,,,",
        "2020-03-15T22:30:00Z,JPY,BOJ Gov Kuroda Speaks,High,,,",
        "2020-03-16T12:30:00Z,USD,Empire State Manufacturing Index,Low,-21.5,4.9,12.9",
        "2020-04-29T18:00:00Z,USD,Federal Funds Rate,Medium,<0.25%,<0.25%,<0.25%",
    )

    lead = (frame["ts"] - frame["known_at"]).groupby(frame["entry_id"]).max()
    assert report.n_unscheduled == 3
    assert lead["USD|fomc statement|2020-03-15T21:00Z"] == pd.Timedelta(0)
    assert lead["USD|federal funds rate|2020-03-15T21:00Z"] == pd.Timedelta(0)
    assert lead["USD|fomc press conference|2020-03-15T22:30Z"] == pd.Timedelta(0)
    assert lead["JPY|boj gov kuroda speaks|2020-03-15T22:30Z"] == pd.Timedelta(days=1)
    assert lead["USD|federal funds rate|2020-04-29T18:00Z"] == pd.Timedelta(days=60)
    emergency = frame[frame["entry_id"] == "USD|federal funds rate|2020-03-15T21:00Z"]
    assert emergency[["actual", "previous"]].to_numpy().tolist() == [[0.25, 1.25]]


def test_bad_rows_are_reported_by_line_and_never_stop_the_rest(tmp_path: Path) -> None:
    frame, report = archive(
        tmp_path,
        "2024-06-12T12:30:00Z,USD,CPI y/y,High,3.3%,3.4%,3.4%",
        "yesterday,USD,CPI y/y,High,3.3%,3.4%,3.4%",
        "2024-06-12 12:30,USD,CPI m/m,High,3.3%,3.4%,3.4%",
        "",
        "2024-06-12T12:30:00Z,,CPI m/m,High,0.1%,,",
        "2024-06-12T12:30:00Z,USD,,High,0.1%,,",
        "2024-06-12T12:30:00Z,USD,CPI m/m",
        "2024-06-12T12:30:00Z,USD,CPI y/y,High,9.9%,3.4%,3.4%",
        "0001-01-01T00:00:00Z,USD,CPI y/y,High,9.9%,3.4%,3.4%",
        "2024-07-11T12:30:00Z,USD,CPI y/y,High,3.0%,3.1%,3.3%,one field too many",
    )

    assert report.bad_rows == (
        (3, "the time is not ISO 8601"),
        (4, "the time has no zone"),
        (5, "the time is not ISO 8601"),
        (6, "no currency"),
        (7, "no event"),
        (8, "no impact"),
        (9, "listed twice"),
        (10, "the time is not in 1970-2100"),
    )
    assert frame["actual"].dropna().tolist() == [3.3, 3.0]
    assert "8 rows left out; line 3: the time is not ISO 8601" in str(report)


def test_values_that_are_no_single_number_are_kept_as_text_and_counted(tmp_path: Path) -> None:
    frame, report = archive(
        tmp_path,
        "2024-06-20T11:00:00Z,GBP,MPC Official Bank Rate Votes,High,0-2-7,0-2-7,0-2-7",
        "2024-06-20T11:00:00Z,GBP,Official Bank Rate,High,5.25%,5.25%,5.25%",
    )

    assert report.no_number == {"0-2-7": 3}
    votes = frame[frame["actual_text"] == "0-2-7"]
    assert len(votes) == 1
    assert votes["actual"].isna().all()


def test_a_gzipped_archive_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "calendar.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}2024-06-12T12:30:00Z,USD,CPI y/y,High,3.3%,3.4%,3.4%\n".encode()))

    assert len(read_calendar_file(path)[0]) == 2


def test_an_archive_without_rows_has_no_vintages(tmp_path: Path) -> None:
    frame, report = archive(tmp_path)

    assert frame.empty
    assert report.n_rows == 0


def test_what_is_no_archive_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CalendarFileUnreadable, match="there is no such file"):
        read_calendar_file(tmp_path / "nowhere.csv.gz")

    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(HEADER.encode() * 1000)[:40])
    with pytest.raises(CalendarFileUnreadable, match="cannot be read"):
        read_calendar_file(cut)

    other = tmp_path / "bars.csv"
    other.write_text("ts,open,high,low,close,volume\n")
    with pytest.raises(CalendarFileUnreadable, match="currency, event, impact"):
        read_calendar_file(other)

    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(CalendarFileUnreadable, match="cannot be read"):
        read_calendar_file(tmp_path / "empty.csv")
