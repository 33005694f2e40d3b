import errno
import io

from billing_project.local.log import KEPT_LINES, ServiceLog


class GoneTerminal(io.StringIO):
    """What a terminal that was closed answers."""

    attempts = 0

    def write(self, text: str) -> int:
        self.attempts += 1
        raise OSError(errno.EIO, "Input/output error")


class TestServiceLog:
    def test_says_whose_a_line_is(self) -> None:
        stream = io.StringIO()

        ServiceLog(stream).write_line("web", "listening")

        assert stream.getvalue() == "web      | listening\n"

    def test_keeps_lines_back_and_gives_them_out(self) -> None:
        stream = io.StringIO()
        log = ServiceLog(stream)
        log.hold()
        for number in range(KEPT_LINES + 2):
            log.write_line("web", str(number))
        assert stream.getvalue() == ""

        log.release()
        log.write_line("web", "last")

        lines = stream.getvalue().splitlines()
        assert len(lines) == KEPT_LINES + 1
        assert lines[0] == "web      | 2"
        assert lines[-1] == "web      | last"

    def test_goes_on_when_the_terminal_is_gone(self) -> None:
        stream = GoneTerminal()
        log = ServiceLog(stream)

        log.write_line("web", "listening")
        log.write_line("web", "still there")

        assert stream.attempts == 2
