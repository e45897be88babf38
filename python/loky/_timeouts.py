"""The texts about time: a task that ran for too long, or waited for too long.

Made by the manager thread from a report; imported only when there is something to tell.
"""

from ._report import CrashReport, _evidence, _folded, exit_code_text, history_text


def timeout_text(report: CrashReport, timeout_s: float | None) -> str:
    """The message of a `TaskTimeoutError` for a task that ran for too long."""
    limit = "" if timeout_s is None else f" of {timeout_s:g} s"
    if report.exitcode is None:
        end = "It was interrupted and let go; its worker lives on."
    else:
        end = f"It did not let go and was ended with its worker, {exit_code_text(report.exitcode)}."
    lines = [f"The task ran for longer than its timeout{limit}. {end}"]
    evidence = _evidence(report)
    if evidence:
        lines.append(f"Evidence: {evidence}.")
    if report.history:
        lines.append(history_text(report))
    if report.python_stack:
        stack = _folded(report.python_stack.rstrip())
        lines.append(f"Python stack of the worker when the time was up:\n{stack}")
    lines.append(report.advice)
    return "\n".join(lines)


def expiry_text(report: CrashReport, waited_s: float, timeout_s: float | None) -> str:
    """The message of a `TaskTimeoutError` for a task that never began."""
    limit = "" if timeout_s is None else f" of {timeout_s:g} s"
    lines = [
        f"The task had not begun within its queue_timeout{limit} and never will. It has not run.",
        f"Evidence: waited for {waited_s:.3g} s"
        + (f", task {report.task}" if report.task is not None else "")
        + ".",
        report.advice,
    ]
    return "\n".join(lines)
