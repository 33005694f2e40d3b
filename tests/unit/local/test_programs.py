from pathlib import Path

import pytest

from billing_project.local.programs import ServeOptions, list_programs


def make_options(host: str = "127.0.0.1") -> ServeOptions:
    return ServeOptions(host=host, port=8000, web_workers=2, web_threads=4, task_workers=3)


class TestBaseUrl:
    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("127.0.0.1", "http://127.0.0.1:8000"),
            ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 (compared with, not listened on)
            ("::1", "http://[::1]:8000"),
            ("::", "http://[::1]:8000"),
            ("billing.internal", "http://billing.internal:8000"),
        ],
    )
    def test_is_where_this_machine_reaches_it(self, host: str, url: str) -> None:
        assert make_options(host).base_url == url


class TestListPrograms:
    def test_lists_web_worker_and_beat(self) -> None:
        programs = list_programs(
            options=make_options(),
            project_folder=Path("/srv/project"),
            static_folder=Path("/srv/static"),
            static_url="/static/",
        )

        assert [program.name for program in programs] == ["web", "worker", "beat"]
        web, worker, _ = (" ".join(program.command) for program in programs)
        assert "--host 127.0.0.1 --port 8000 --workers 2" in web
        assert "--static-path-route /static --static-path-mount /srv/static" in web
        assert "worker --concurrency 3" in worker

    @pytest.mark.parametrize(
        ("given", "expected"),
        [(None, "http://127.0.0.1:8000"), ("https://billing.example", "https://billing.example")],
    )
    def test_tells_them_where_they_are_reached(
        self, given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if given is None:
            monkeypatch.delenv("BILLING_BASE_URL", raising=False)
        else:
            monkeypatch.setenv("BILLING_BASE_URL", given)

        programs = list_programs(
            options=make_options(), project_folder=Path(), static_folder=Path(), static_url="/static/"
        )

        assert {program.environment["BILLING_BASE_URL"] for program in programs} == {expected}
