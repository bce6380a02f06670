import pytest

from semdepth_training.sampling import EpochSampler, SamplingError


def test_an_epoch_sees_each_triplet_once_and_leaves_out_the_rest():
    sampler = EpochSampler(22, 5, seed=0)
    assert sampler.steps_per_epoch == 4
    seen = [index for step in range(4) for index in sampler.step(step)]
    assert len(seen) == 20 == len(set(seen))


def test_epochs_are_shuffled_differently():
    sampler = EpochSampler(20, 20, seed=0)
    assert sampler.step(0) != sampler.step(1)


def test_a_step_is_the_same_whenever_it_is_asked_for():
    first, second = EpochSampler(20, 4, seed=3), EpochSampler(20, 4, seed=3)
    expected = [first.step(step) for step in range(12)]
    assert second.step(11) == expected[11]
    assert second.step(2) == expected[2]


def test_processes_share_the_global_batch_without_overlap():
    whole = EpochSampler(32, 8, seed=1)
    parts = [EpochSampler(32, 8, seed=1, rank=rank, world=2) for rank in range(2)]
    for step in range(8):
        assert parts[0].step(step) + parts[1].step(step) == whole.step(step)


def test_a_data_set_below_one_batch_is_refused_by_number():
    with pytest.raises(SamplingError, match=r'3 triplets.*batch of 4'):
        EpochSampler(3, 4, seed=0)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(SamplingError, match=r'batch is 5.*2 processes'):
        EpochSampler(20, 5, seed=0, world=2)
