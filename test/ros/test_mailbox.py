"""Rule 6: one slot, the newest frame waits, what it replaces is counted, nothing is queued."""

import threading

from semdepth_ros.ros.mailbox import Mailbox


def test_rule_6_a_newer_item_replaces_the_waiting_one_and_gives_it_back():
    mailbox = Mailbox()
    assert mailbox.put(1) is None
    assert mailbox.put(2) == 1
    assert mailbox.take() == 2


def test_take_waits_for_an_item_of_another_thread():
    mailbox = Mailbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()))
    thread.start()
    mailbox.put('frame')
    thread.join(10)
    assert taken == ['frame']


def test_close_wakes_the_worker_and_gives_back_what_nobody_will_take():
    mailbox = Mailbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()))
    thread.start()
    assert mailbox.close() is None
    thread.join(10)
    assert taken == [None]
    assert mailbox.put('late') == 'late'

    mailbox = Mailbox()
    mailbox.put('waiting')
    assert mailbox.close() == 'waiting'
    assert mailbox.take() is None
