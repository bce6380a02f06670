"""Bad input that repeats is said once a period, each kind on its own."""

from semdepth_ros.ros.throttle import ThrottledLog


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_sentence_is_said_once_a_period_with_how_often_it_was_held_back():
    clock, said = Clock(), []
    log = ThrottledLog(period=10, clock=clock)
    for clock.now in (0, 1, 9.9, 10):
        log.say(said.append, f'image is {round(clock.now)}x5')
    assert said == ['image is 0x5', 'image is 10x5 (2 more since this was last said)']


def test_sentences_of_different_kinds_do_not_silence_one_another():
    said = []
    log = ThrottledLog(clock=Clock())
    log.say(said.append, 'front/image: encoding x')
    log.say(said.append, 'left/image: encoding x')
    assert len(said) == 2


def test_the_memory_of_kinds_is_bounded():
    clock = Clock()
    log = ThrottledLog(clock=clock)
    for clock.now in range(1000):
        log.say(lambda text: None, 'encoding ' + 'x' * int(clock.now))
    assert len(log._said) <= 200
