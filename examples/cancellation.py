from loky import get_reusable_executor, CancelledError
import time

def cancellable_task(task_id, duration):
    """Task that can be cancelled before completion."""
    print(f"Task {task_id} starting (duration: {duration}s)")
    time.sleep(duration)
    print(f"Task {task_id} completed")
    return f"Task {task_id} result"

def handle_cancellation():
    """Demonstrate task cancellation and error handling."""
    executor = get_reusable_executor(max_workers=2)

    # Submit multiple tasks
    futures = []
    for i in range(4):
        future = executor.submit(cancellable_task, i, 3)
        futures.append(future)

    # Cancel some tasks after a short delay
    time.sleep(0.5)
    cancelled_count = 0

    for i, future in enumerate(futures):
        if i % 2 == 1:  # Cancel odd-numbered tasks
            if future.cancel():
                print(f"Successfully cancelled task {i}")
                cancelled_count += 1
            else:
                print(f"Could not cancel task {i} (already running)")

    # Collect results
    for i, future in enumerate(futures):
        try:
            result = future.result(timeout=5)
            print(f"Task {i}: {result}")

        except CancelledError:
            print(f"Task {i}: Was cancelled")

        except TimeoutError:
            print(f"Task {i}: Timed out")

        except Exception as e:
            print(f"Task {i}: Error - {e}")

    print(f"Cancelled {cancelled_count} tasks")

handle_cancellation()
