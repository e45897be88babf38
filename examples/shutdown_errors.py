from loky import ProcessPoolExecutor, ShutdownExecutorError

def task(x):
    return x * 2

# Demonstrate shutdown error handling
executor = ProcessPoolExecutor(max_workers=2)

# Submit and process some tasks
future1 = executor.submit(task, 5)
result1 = future1.result()
print(f"Before shutdown: {result1}")

# Shutdown the executor
executor.shutdown(wait=True)

# Attempt to use shutdown executor
try:
    future2 = executor.submit(task, 10)
    result2 = future2.result()
except ShutdownExecutorError as e:
    print(f"Cannot use shutdown executor: {e}")

# Create new executor for continued processing
new_executor = ProcessPoolExecutor(max_workers=2)
future3 = new_executor.submit(task, 10)
result3 = future3.result()
print(f"With new executor: {result3}")
new_executor.shutdown()
