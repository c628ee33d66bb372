import subprocess
import sys

from jobs import owner


def test_the_running_process_is_not_gone() -> None:
    assert owner.is_gone(owner.this_process()) is False


def test_a_process_that_ended_is_gone_also_when_nobody_reaped_it() -> None:
    code = "from jobs.owner import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        holder = child.stdout.readline().strip()
        assert owner.is_gone(holder) is False

        child.kill()
        child.stdout.read()  # end of file: the process has ended, and is a zombie until it is waited for
        while owner.is_gone(holder) is False:  # the kernel closes the files a moment before it says so
            pass

        assert child.returncode is None
    assert owner.is_gone(holder) is True


def test_a_reused_process_number_is_not_mistaken_for_the_holder() -> None:
    host, pid, started = owner.this_process().split("/")

    assert owner.is_gone(f"{host}/{pid}/{int(started) - 1}") is True


def test_a_holder_on_another_machine_cannot_be_judged() -> None:
    _, pid, started = owner.this_process().split("/")

    assert owner.is_gone(f"elsewhere::/{pid}/{started}") is None
