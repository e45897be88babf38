"""Whatever threads, changes, cancellations and deaths do at once: a task gets what it was submitted with."""

import random
import signal
import threading

import numpy as np
import pytest

import loky
from tests.speed_features import shipping
from tests.speed_features.test_ship_once import digest
from tests.support import tasks

THREADS = 4
STEPS = 40
SIZE = 200_000
LIMIT_S = 60


class Customer:
    """Submits, changes and cancels by chance."""

    def __init__(self, executor, seed):
        self.executor = executor
        self.random = random.Random(seed)
        # Some customers bring equal data that are not the same objects.
        self.constant = shipping.noise(SIZE, seed % 2)
        self.grown = bytearray(self.constant)
        self.numbers = list(self.constant[: SIZE // 2])
        self.waiting = []
        self.failures = []
        self.deaths = 0

    def submit(self, value, *sent):
        self.waiting.append((self.executor.submit(digest, *(sent or (value,))), digest(value)))

    def step(self):
        place = self.random.randrange(SIZE // 2)
        match self.random.randrange(7):
            case 0:
                self.submit(self.constant)
            case 1:
                self.grown[place] ^= self.random.randrange(2)
                self.submit(self.grown)
            case 2:
                self.numbers[place] = self.random.randrange(1000)
                self.submit(self.numbers)
            case 3:
                array = np.frombuffer(self.constant, np.uint8).copy()
                array[place] ^= self.random.randrange(2)
                self.submit(array)
            case 4:
                self.submit(self.constant, loky.share(self.constant))
            case 5 if self.random.random() < 0.3:
                self.deaths += 1
                self.executor.submit(tasks.kill_self, signal.SIGKILL).exception(LIMIT_S)
            case _ if self.waiting:
                self.take(self.waiting.pop(self.random.randrange(len(self.waiting))))

    def take(self, sent):
        future, expected = sent
        if self.random.random() < 0.3 and future.cancel():
            return
        assert future.result(LIMIT_S) == expected

    def run(self):
        try:
            for _ in range(STEPS):
                self.step()
            while self.waiting:
                self.take(self.waiting.pop())
        except BaseException as error:
            self.failures.append(error)


# What a dying worker was running is blamed, and that is the killer alone: the others are sent again.
@pytest.mark.parametrize("seed", [1, 2])
def test_a_task_gets_what_it_was_submitted_with(pool, seed):
    executor = pool(3)
    customers = [Customer(executor, THREADS * seed + number) for number in range(THREADS)]
    threads = [threading.Thread(target=customer.run) for customer in customers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [customer.failures for customer in customers] == [[]] * THREADS
    assert sum(customer.deaths for customer in customers) > 0, "workers died"
    assert shipping.counts(executor)[1] > 0, "something was recognised"
