from billing_project.core import events
from billing_project.core.tasks import deliver_outbox
from invoicing import handlers, tasks
from invoicing.runs import clocks


class TestNames:
    def test_are_those_that_are_sent(self) -> None:
        assert deliver_outbox.name == events.DELIVER_TASK
        assert tasks.work_on_bill_run.name == handlers.WORK_TASK
        assert tasks.advance_test_clock.name == clocks.DRIVE_TASK
