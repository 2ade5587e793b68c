#!/bin/sh
# Trains a language model, a vision tower and a Flamingo around them on drawn
# shapes, from nothing, and prints how well it describes images and answers
# questions, also about pairs of color and shape that neither tower nor Flamingo
# was shown, and whether it learns new names of colors from examples.
#
#     testdata/flamingo_shapes.sh SEED OUT
#
# OUT is a folder for the models; those that are there are not trained again.
# TESSERA names the command, "tessera" if it is not set.
set -eu
if [ $# -ne 2 ]; then
	echo "usage: $0 SEED OUT" >&2
	exit 2
fi
seed=$1 out=$2
tessera=${TESSERA:-tessera}

# train runs a command unless its model is there.
train() {
	dir=$1
	shift
	[ -f "$dir/model.safetensors" ] || "$tessera" "$@" --seed "$seed" --out "$dir" >&2
}

begin=$(date +%s)
train "$out/language" flamingo pretrain-lm
train "$out/vision" clip train --data shapes
train "$out/flamingo" flamingo train --data shapes-words --hold-out 6 --steps 2000 --language "$out/language" --vision "$out/vision"
echo "seed $seed: trained in $(($(date +%s) - begin)) s"
"$tessera" flamingo eval --model "$out/flamingo" --data shapes-words --hold-out 6 --seed "$seed" --n 300 --shots 0,1,2,4
