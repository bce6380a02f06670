"""Every encoding that cameras send becomes RGB; what contradicts itself is refused by name."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semdepth_ros import encodings
from semdepth_ros.encodings import (
    EncodingError,
    decode_compressed,
    depth_to_metres,
    image_to_rgb,
)

RGB = np.array([[[250, 20, 30], [40, 240, 60]], [[70, 80, 230], [100, 110, 120]]], np.uint8)


def smooth(height=36, width=52):
    """Return a colourful image that JPEG and chroma subsampling leave nearly as it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, 200 - x * 2 - y], -1).astype(np.uint8)


def convert(encoding, array, bigendian=False, padding=0):
    """Lay an (H, W, ...) array out as a message with padded rows, and convert it."""
    height, width = array.shape[:2]
    if array.dtype.itemsize == 2:
        array = array.astype('>u2' if bigendian else '<u2')
    rows = np.frombuffer(array.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return image_to_rgb(encoding, width, height, rows.shape[1], bigendian, rows.tobytes())


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'array'),
    [
        ('rgb8', RGB),
        ('bgr8', RGB[..., ::-1]),
        ('8UC3', RGB[..., ::-1]),
        ('rgba8', np.dstack([RGB, RGB[..., :1]])),
        ('bgra8', np.dstack([RGB[..., ::-1], RGB[..., :1]])),
        ('8UC4', np.dstack([RGB[..., ::-1], RGB[..., :1]])),
    ],
)
def test_colour_encodings_become_rgb_with_any_row_padding(encoding, array, padding):
    assert np.array_equal(convert(encoding, array, padding=padding), RGB)


@pytest.mark.parametrize('bigendian', [False, True])
def test_sixteen_bits_keep_their_upper_eight_in_either_byte_order(bigendian):
    wide = RGB.astype(np.uint16) * 256 + 77
    assert np.array_equal(convert('rgb16', wide, bigendian, padding=2), RGB)
    bgra = np.dstack([wide[..., ::-1], wide[..., :1]])
    assert np.array_equal(convert('bgra16', bgra, bigendian), RGB)
    gray = convert('mono16', np.array([[0, 255], [256, 65535]], np.uint16), bigendian)
    assert gray[..., 0].tolist() == [[0, 0], [1, 255]]
    assert (gray == gray[..., :1]).all()


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_gray_becomes_three_equal_channels(encoding):
    gray = convert(encoding, RGB[..., 0], padding=3)
    assert np.array_equal(gray, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize('wide', [False, True])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_patterns_are_named_by_their_first_two_rows(pattern, wide):
    colours = {'r': 0, 'g': 1, 'b': 2}
    flat = np.array([200, 100, 50], np.uint8)
    mosaic = np.empty((8, 8), np.uint8)
    for k, letter in enumerate(pattern):
        mosaic[k // 2 :: 2, k % 2 :: 2] = flat[colours[letter]]
    if wide:
        mosaic = mosaic.astype(np.uint16) * 256
    assert (convert(f'bayer_{pattern}{16 if wide else 8}', mosaic) == flat).all()


@pytest.mark.parametrize('encoding', ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'])
def test_both_orders_of_yuv422_give_the_colours_back(encoding):
    rgb = np.full((4, 6, 3), (180, 90, 60), np.uint8)
    # BT.601, limited range.
    y = 16 + (0.257 * 180 + 0.504 * 90 + 0.098 * 60)
    u = 128 + (-0.148 * 180 - 0.291 * 90 + 0.439 * 60)
    v = 128 + (0.439 * 180 - 0.368 * 90 - 0.071 * 60)
    pair = [u, y, v, y] if encoding in ('yuv422', 'uyvy') else [y, u, y, v]
    packed = np.tile(np.round(pair).astype(np.uint8), (4, 3)).reshape(4, 6, 2)
    assert np.abs(convert(encoding, packed, padding=4).astype(int) - rgb).max() <= 3


def test_rgb_is_a_view_and_not_a_copy():
    data = bytearray(RGB.tobytes())
    image = image_to_rgb('rgb8', 2, 2, 6, False, data)
    data[0] = 1
    assert image[0, 0, 0] == 1
    assert not image.flags.writeable


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (('rgb8', 0, 4, 12, False, b''), 'rgb8 image is 0x4, expected at least one pixel'),
        (('rgb8', 4, 2, 11, False, bytes(24)), 'has step 11, expected at least 12'),
        (('rgb8', 4, 2, 12, False, bytes(23)), 'has 23 bytes of data, expected 24'),
        (('rgb8', 4, 2, 12, False, bytes(25)), 'has 25 bytes of data, expected 24'),
        (('mono8', 10**5, 10**5, 10**5, False, b''), 'expected at most 64,000,000 pixels'),
        (('yuyv', 3, 2, 6, False, bytes(12)), 'expected an even width'),
        (('bayer_rggb8', 2, 2, 2, False, bytes(4)), 'expected at least 3x3'),
        (('32FC1', 2, 2, 8, False, bytes(16)), "encoding '32FC1' cannot be converted to colour"),
        (('purple', 2, 2, 8, False, bytes(16)), "encoding 'purple' cannot be converted"),
        (('', 2, 2, 8, False, bytes(16)), "encoding '' cannot be converted"),
    ],
)
def test_what_contradicts_itself_is_refused_naming_the_values(arguments, sentence):
    with pytest.raises(EncodingError, match=sentence):
        image_to_rgb(*arguments)


@settings(max_examples=300, deadline=None)
@given(
    encoding=st.sampled_from([*encodings._PACKED, 'nv12', '16SC2', 'x']),
    width=st.integers(-2, 20),
    height=st.integers(-2, 20),
    step=st.integers(-5, 200),
    bigendian=st.booleans(),
    size=st.integers(0, 4000),
    fits=st.booleans(),
)
def test_any_header_gives_an_image_of_its_size_or_an_encoding_error(
    encoding, width, height, step, bigendian, size, fits
):
    if fits:
        size = max(0, step * height)
    try:
        image = image_to_rgb(encoding, width, height, step, bigendian, bytes(size))
    except EncodingError:
        return
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize('bigendian', [False, True])
def test_depth_images_become_metres_and_zero_millimetres_is_invalid(bigendian):
    order = '>' if bigendian else '<'
    mm = np.array([[0, 1000], [65535, 1]], f'{order}u2')
    depth = depth_to_metres('16UC1', 2, 2, 4, bigendian, mm.tobytes())
    assert np.isnan(depth[0, 0])
    assert np.allclose(depth.ravel()[1:], [1, 65.535, 0.001])
    metres = np.array([[1.5, np.inf], [np.nan, -np.inf]], f'{order}f4')
    padded = np.pad(metres.view(np.uint8).reshape(2, 8), ((0, 0), (0, 4)))
    depth = depth_to_metres('32FC1', 2, 2, 12, bigendian, padded.tobytes())
    assert np.array_equal(depth, metres, equal_nan=True)
    assert depth.dtype == np.float32
    with pytest.raises(EncodingError, match="'rgb8', expected 32FC1 or 16UC1"):
        depth_to_metres('rgb8', 2, 2, 6, False, bytes(12))


def encode(extension, rgb):
    ok, data = cv2.imencode(extension, rgb[..., ::-1] if rgb.ndim == 3 else rgb)
    assert ok
    return data.tobytes()


@pytest.fixture(params=['simplejpeg', 'opencv'])
def jpeg_decoder(request, monkeypatch):
    if request.param == 'opencv':
        monkeypatch.setattr(encodings, 'simplejpeg', None)
    else:
        pytest.importorskip('simplejpeg')


@pytest.mark.parametrize('format', ['jpeg', 'jpg', 'rgb8; jpeg compressed bgr8', '', 'png'])
def test_jpeg_is_decoded_to_rgb_whatever_the_format_says(jpeg_decoder, format):
    image = decode_compressed(format, encode('.jpg', smooth()))
    assert np.abs(image.astype(int) - smooth()).mean() < 3


def test_png_is_decoded_exactly_and_sixteen_bits_to_their_upper_eight():
    assert np.array_equal(decode_compressed('png', encode('.png', smooth())), smooth())
    wide = smooth()[..., 0].astype(np.uint16) * 256 + 9
    image = decode_compressed('mono16; png compressed ', encode('.png', wide))
    assert np.array_equal(image, np.repeat(smooth()[..., :1], 3, axis=2))


def test_gray_jpeg_has_three_equal_channels(jpeg_decoder):
    image = decode_compressed('mono8; jpeg compressed mono8', encode('.jpg', smooth()[..., 0]))
    assert image.shape == (36, 52, 3)
    assert (image == image[..., :1]).all()


def test_red_and_blue_are_swapped_back_where_image_transport_stored_them_swapped():
    stored = encode('.png', smooth()[..., ::-1])
    assert np.array_equal(decode_compressed('rgb8; png compressed rgb8', stored), smooth())


def test_compressed_depth_and_other_files_are_refused_by_format():
    with pytest.raises(EncodingError, match="'16UC1; compressedDepth png', expected a colour"):
        decode_compressed('16UC1; compressedDepth png', encode('.png', smooth()))
    with pytest.raises(EncodingError, match='neither jpeg nor png'):
        decode_compressed('tiff', b'II*\0' + bytes(100))
    with pytest.raises(EncodingError, match='0 bytes'):
        decode_compressed('jpeg', b'')


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_an_image_cut_anywhere_is_refused(jpeg_decoder, extension):
    data = encode(extension, smooth())
    for cut in range(1, len(data), max(1, len(data) // 60)):
        with pytest.raises(EncodingError):
            decode_compressed('jpeg', data[:cut])


def test_a_decompression_bomb_is_refused_by_its_header():
    png = bytearray(encode('.png', smooth()))
    png[16:24] = struct.pack('>II', 100_000, 100_000)
    png[29:33] = struct.pack('>I', zlib.crc32(png[12:29]))
    with pytest.raises(EncodingError, match='png image is 100000x100000, expected at most'):
        decode_compressed('png', bytes(png))
    jpeg = bytearray(encode('.jpg', smooth()))
    at = jpeg.index(b'\xff\xc0')
    jpeg[at + 5 : at + 9] = struct.pack('>HH', 65535, 65535)
    with pytest.raises(EncodingError, match='jpeg image is 65535x65535, expected at most'):
        decode_compressed('jpeg', bytes(jpeg))


def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def test_a_png_that_lies_about_the_length_of_its_parts_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(encodings, '_decode_by_opencv', lambda encoded: pytest.fail('was decoded'))
    png = bytearray(encode('.png', smooth()))
    at = png.index(b'IDAT')
    png[at - 4 : at] = struct.pack('>I', 2**31 - 1)
    with pytest.raises(EncodingError, match='truncated or damaged'):
        decode_compressed('png', bytes(png))


def test_what_a_png_holds_besides_pixels_is_not_even_unpacked(monkeypatch):
    png = encode('.png', smooth())
    bomb = chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(10**7)))
    seen = []
    decode = encodings._decode_by_opencv
    monkeypatch.setattr(
        encodings, '_decode_by_opencv', lambda encoded: seen.append(encoded) or decode(encoded)
    )
    image = decode_compressed('png', png[:33] + bomb + png[33:])
    assert np.array_equal(image, smooth())
    assert seen[0].tobytes() == png


def test_more_pixels_or_scans_than_the_bytes_can_hold_are_refused_before_decoding(monkeypatch):
    for name in ('_decode_jpeg', '_decode_by_opencv'):
        monkeypatch.setattr(encodings, name, lambda encoded: pytest.fail('was decoded'))
    jpeg = bytearray(encode('.jpg', smooth()))
    at = jpeg.index(b'\xff\xc0')
    jpeg[at + 5 : at + 9] = struct.pack('>HH', 7000, 8000)
    with pytest.raises(EncodingError, match=r'claims 8000x7000 pixels in 1 scans and \d+ bytes'):
        decode_compressed('jpeg', bytes(jpeg))
    jpeg = encode('.jpg', smooth())
    scan = jpeg[jpeg.index(b'\xff\xda') : -2]
    with pytest.raises(EncodingError, match='in 101 scans'):
        decode_compressed('jpeg', jpeg[:-2] + scan * 100 + b'\xff\xd9')


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_a_blank_picture_is_not_taken_for_a_bomb(extension):
    blank = np.full((1080, 1920, 3), 7, np.uint8)
    assert np.abs(decode_compressed('', encode(extension, blank)).astype(int) - 7).max() <= 1


@settings(max_examples=150, deadline=None)
@given(data=st.data(), extension=st.sampled_from(['.jpg', '.png']))
def test_damaged_bytes_give_an_image_of_the_header_size_or_an_encoding_error(data, extension):
    encoded = bytearray(encode(extension, smooth()))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_compressed('jpeg', bytes(encoded), max_pixels=10_000)
    except EncodingError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= 10_000
