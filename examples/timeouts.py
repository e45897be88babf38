from loky import get_reusable_executor, TimeoutError
import time

def slow_task(duration):
    """Task that takes specified duration to complete."""
    time.sleep(duration)
    return f"Completed after {duration} seconds"

def handle_timeouts():
    """Demonstrate timeout error handling."""
    executor = get_reusable_executor(max_workers=2)

    tasks = [
        (1, 3),  # 1 second task, 3 second timeout - should succeed
        (5, 2),  # 5 second task, 2 second timeout - should timeout
        (2, 4),  # 2 second task, 4 second timeout - should succeed
    ]

    for duration, timeout in tasks:
        try:
            future = executor.submit(slow_task, duration)
            result = future.result(timeout=timeout)
            print(f"Task ({duration}s, timeout {timeout}s): {result}")

        except TimeoutError:
            print(f"Task ({duration}s, timeout {timeout}s): Timed out")
            # Task continues running in background

        except Exception as e:
            print(f"Task ({duration}s, timeout {timeout}s): Error - {e}")

handle_timeouts()
