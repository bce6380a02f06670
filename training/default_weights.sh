#!/usr/bin/env bash
# The default weights, from recordings to file (docs/training/README.md): some hours on two cores.
#   training/default_weights.sh RECORDINGS TEACHERS WORK
# RECORDINGS holds the bags kitti_raw_0095, kitti_odom_03 and kitti_sfnd (validation alone), TEACHERS
# the two Cityscapes networks. What WORK has already is not made again; trainings go on.
set -euo pipefail
: "${3:?expected RECORDINGS TEACHERS WORK}"
recordings=$(realpath "$1") teachers=$(realpath "$2") config=$(realpath "$(dirname "$0")/../config/train")
mkdir -p "$3/bags" && cd "$3"

drive() {  # KIND SEED OPTION...
    local bag="bags/$1_$2"
    shift
    [ -d "$bag" ] || semdepth simulate --output "$bag" --seed "$@"
}
street() { drive street "$@"; }
for seed in $(seq 1 4); do street "$seed" --frames 100; done
for seed in $(seq 1000 1023); do
    street "$seed" --frames 50 --convoy "$([ $((seed % 4)) = 3 ] && echo 0.5 || echo 0)"
done
for seed in $(seq 100 111) 200 206 217 222 225 232 238 241 243 245 247 262; do
    street "$seed" --frames 32 --size 448x128 --traffic 0.8
done
for seed in $(seq 120 125); do
    street "$seed" --frames 32 --size 448x128 --traffic 0.5 --convoy 1 --convoy-cars 3
done
# Queues, through several lenses and from several heights; every third at walking pace.
lens=('--focal 260' '--focal 200 --camera-height 0.5' '--focal 340 --camera-height 1.4' '--focal 260 --camera-height 1.0')
for seed in $(seq 300 347); do
    read -ra options <<< "${lens[seed % 4]} $([ $((seed % 3)) = 0 ] && echo --speed 5)"
    drive queue "$seed" --frames 32 --size 448x128 --traffic 0.8 --queue 8 "${options[@]}"
done
for seed in $(seq 500 563); do
    drive queue "$seed" --frames 32 --traffic "$([ $((seed % 4)) -lt 2 ] && echo 0.8 || echo 0.3)" --queue 8
done
# Jams, three of four with a queue ahead; the last ones through the same lenses.
queue=(0 1 3 8)
for seed in $(seq 800 895); do
    drive jam "$seed" --frames 28 --jam --traffic "$([ $((seed % 8)) -lt 4 ] && echo 0.5 || echo 1.0)" --queue "${queue[seed % 4]}"
done
for seed in $(seq 900 931); do
    read -ra options <<< "${lens[seed % 4]}"
    drive jam "$seed" --frames 28 --size 448x128 --jam --traffic 0.8 --queue "${queue[seed / 4 % 4]}" "${options[@]}"
done

[ -e runs/semantic/semantic.safetensors ] || semdepth distill \
    --bags "$recordings"/kitti_raw_0095 "$recordings"/kitti_odom_03 --validation-bag "$recordings/kitti_sfnd" \
    --espnetv2 "$teachers/espnetv2_s_2.0_city_1024x512.pth" \
    --tflite "$teachers/deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite" --output runs/semantic --steps 900

for part in default default_320 default_two default_416 default_jam; do
    bags=("$recordings"/kitti_raw_0095 "$recordings"/kitti_odom_03)
    [ "$part" = default_jam ] && bags+=(bags/jam_*) || bags+=(bags/street_*)
    [ "$part" != default_two ] || bags+=(bags/queue_3[0-2]? bags/queue_33[01])
    [ "$part" != default_416 ] || bags+=(bags/queue_*)
    OMP_NUM_THREADS=1 torchrun --nproc_per_node=2 -m semdepth_ros.cli train --config "$config/$part.yaml" \
        --bags "${bags[@]}" --output "runs/$part" --resume
done
