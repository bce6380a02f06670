"""The protocol against a known network and a known recording, measured by others before."""

import pytest

from semdepth_ros.bags.drive import Drive
from semdepth_training.evaluation.drives import DriveFrames, frame_range
from semdepth_training.evaluation.peer import Peer, PeerError
from semdepth_training.evaluation.run import evaluate
from semdepth_training.evaluation.training_mean import training_mean
from semdepth_training.evaluation.truth import BagTruth


def test_peer_and_constant_depth_score_on_lidar_what_they_are_known_to_score(shared_data):
    pytest.importorskip('ai_edge_litert')
    peer = Peer(shared_data('weights/mobile_pydnet_pruned35.tflite'))
    drive = Drive(shared_data('bags/kitti_sfnd'))
    frames = DriveFrames([drive], [BagTruth(drive)], frame_range('0:52'))
    mean, _ = training_mean([], frames, lambda image, camera: peer.predict(image), 80.0)
    of_peer, baselines, _ = evaluate(
        frames, lambda frame: (peer.predict(frame.image_HW3), None), mean
    )
    assert len(of_peer.scores) == 52 and of_peer.coverage == 1
    # Known as "about 0.36" and 0.35.
    assert of_peer.median_scaled.abs_rel == pytest.approx(0.35, abs=0.02)
    assert baselines['constant depth'].median_scaled.abs_rel == pytest.approx(0.35, abs=0.005)


def test_a_peer_that_is_absent_or_no_network_is_refused_by_name(tmp_path):
    pytest.importorskip('ai_edge_litert')
    with pytest.raises(PeerError, match=r'absent\.tflite is no file'):
        Peer(tmp_path / 'absent.tflite')
    (tmp_path / 'text.tflite').write_text('no network')
    with pytest.raises(PeerError, match=r'text\.tflite is no TFLite network'):
        Peer(tmp_path / 'text.tflite')


def test_a_peer_that_answers_with_a_label_map_is_refused(shared_data):
    pytest.importorskip('ai_edge_litert')
    name = 'weights/deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite'
    with pytest.raises(PeerError, match='uint8 input, expected float32'):
        Peer(shared_data(name))
