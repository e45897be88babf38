"""The two queues of the loky context."""

import queue

import pytest

from loky.backend import get_context
from loky.backend.queues import Full, SimpleQueue
from tests.support import programs


@pytest.fixture
def context():
    return get_context("loky")


class Doubled:
    def __init__(self, value):
        self.value = value


def double(item):
    return Doubled, (2 * item.value,)


def test_what_only_cloudpickle_writes_can_be_put(context):
    items = context.Queue()
    items.put(lambda: 3)
    assert items.get()() == 3
    assert items.empty()
    items.close()
    items.join_thread()
    simple = context.SimpleQueue()
    simple.put(lambda: 4)
    assert simple.get()() == 4
    simple.close()


def test_reducers_act_on_what_is_put(context):
    for make in (context.SimpleQueue, lambda reducers: context.Queue(0, reducers)):
        items = make(reducers={Doubled: double})
        items.put(Doubled(3))
        assert items.get().value == 6
        items.close()


def test_a_full_queue_says_so(context):
    items = context.Queue(1)
    items.put(1)
    assert Full is queue.Full
    with pytest.raises(Full):
        items.put(2, True, 0.01)
    assert items.get() == 1
    items.close()
    items.join_thread()


def test_a_queue_reaches_a_process_with_its_reducers(context):
    items = SimpleQueue({Doubled: double})

    def put(items):
        items.put(Doubled(5))

    process = context.Process(target=put, args=(items,))
    process.start()
    assert items.get().value == 10
    process.join()
    items.close()


def test_a_queue_in_initargs_reaches_workers(context, pool):
    import sys

    items = context.Queue()

    def keep(items):
        sys.kept_items = items

    pool(1, initializer=keep, initargs=(items,)).submit(lambda: sys.kept_items.put(9)).result()
    assert items.get(timeout=20) == 9
    items.close()
    items.join_thread()


def test_queues_are_pickled_only_for_inheritance(context, pool):
    import pickle

    items = context.SimpleQueue()
    with pytest.raises(RuntimeError):
        pickle.dumps(items)
    items.close()


def test_what_cannot_be_pickled_is_told_and_the_queue_goes_on(context, capfd):
    items = context.Queue()
    items.put(x for x in ())
    items.put(1)
    assert items.get(timeout=20) == 1
    assert "generator" in capfd.readouterr().err
    items.close()
    items.join_thread()


def test_a_connection_can_be_put(tmp_path):
    text = """
        from loky.backend import get_context
        context = get_context("loky")
        reader, writer = context.Pipe(duplex=False)
        items = context.SimpleQueue()
        items.put(writer)
        items.get().send("through the copy")
        print(reader.recv())
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert (finished.output, finished.errors) == ("through the copy\n", "")
