from loky import ProcessPoolExecutor, TerminatedWorkerError
import time

def memory_intensive_task(size):
    """Task that might cause worker termination due to resource limits."""
    try:
        # Allocate large amount of memory
        data = [0] * (size * 1000000)  # size in millions of integers
        return sum(data[:1000])  # Return small result
    except MemoryError:
        raise MemoryError(f"Cannot allocate {size}M integers")

def handle_worker_termination():
    """Demonstrate handling of terminated worker errors."""
    with ProcessPoolExecutor(max_workers=2) as executor:
        # Submit tasks with increasing memory requirements
        sizes = [1, 10, 100, 1000, 10000]  # Progressively larger

        for size in sizes:
            try:
                future = executor.submit(memory_intensive_task, size)
                result = future.result(timeout=10)
                print(f"Size {size}M: Success ({result})")

            except TerminatedWorkerError as e:
                print(f"Size {size}M: Worker terminated ({e})")
                # Executor may recover automatically

            except MemoryError as e:
                print(f"Size {size}M: Memory error ({e})")

            except Exception as e:
                print(f"Size {size}M: Other error ({e})")

handle_worker_termination()
