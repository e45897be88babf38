from loky import get_reusable_executor, BrokenProcessPool
import os
import signal

def problematic_task(x):
    """Task that might crash the worker process."""
    if x == 3:
        # Simulate a worker crash
        os._exit(1)  # Force process termination
    return x * 2

try:
    executor = get_reusable_executor(max_workers=2)

    # Submit tasks that include a problematic one
    futures = [executor.submit(problematic_task, i) for i in range(5)]

    results = []
    for i, future in enumerate(futures):
        try:
            result = future.result(timeout=5)
            results.append(result)
            print(f"Task {i}: {result}")
        except Exception as e:
            print(f"Task {i} failed: {e}")

except BrokenProcessPool as e:
    print(f"Process pool broken: {e}")
    print("Creating new executor...")

    # Create new executor after broken pool
    executor = get_reusable_executor(max_workers=2, kill_workers=True)
    print("New executor created successfully")
