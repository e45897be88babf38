from loky import get_reusable_executor
from loky import (BrokenProcessPool, TerminatedWorkerError,
                 ShutdownExecutorError, TimeoutError, CancelledError)
import random
import time

def unreliable_task(task_id):
    """Task that randomly fails in different ways."""
    failure_type = random.choice(['success', 'error', 'crash', 'slow'])

    if failure_type == 'success':
        return f"Task {task_id}: Success"
    elif failure_type == 'error':
        raise ValueError(f"Task {task_id}: Intentional error")
    elif failure_type == 'crash':
        import os
        os._exit(1)  # Simulate process crash
    elif failure_type == 'slow':
        time.sleep(10)  # Very slow task
        return f"Task {task_id}: Slow success"

def robust_task_execution(task_ids, max_retries=2):
    """Execute tasks with comprehensive error handling and retries."""
    executor = None
    results = {}

    for task_id in task_ids:
        retries = 0
        success = False

        while not success and retries <= max_retries:
            try:
                # Ensure we have a working executor
                if executor is None:
                    executor = get_reusable_executor(max_workers=2)

                # Submit task with timeout
                future = executor.submit(unreliable_task, task_id)
                result = future.result(timeout=3)

                results[task_id] = result
                success = True
                print(f"✓ {result}")

            except (BrokenProcessPool, TerminatedWorkerError) as e:
                print(f"✗ Task {task_id}: Pool broken ({e})")
                executor = None  # Force new executor creation
                retries += 1

            except TimeoutError:
                print(f"✗ Task {task_id}: Timeout (retry {retries + 1})")
                retries += 1

            except ValueError as e:
                print(f"✗ Task {task_id}: Application error ({e})")
                results[task_id] = f"Error: {e}"
                success = True  # Don't retry application errors

            except Exception as e:
                print(f"✗ Task {task_id}: Unexpected error ({e})")
                retries += 1

        if not success:
            results[task_id] = f"Failed after {max_retries} retries"
            print(f"✗ Task {task_id}: Gave up after {max_retries} retries")

    # Clean up
    if executor:
        executor.shutdown(wait=False)

    return results

# Execute unreliable tasks with error recovery
task_ids = list(range(10))
random.seed(42)  # For reproducible results
results = robust_task_execution(task_ids)

print("\nFinal Results:")
for task_id, result in results.items():
    print(f"Task {task_id}: {result}")
