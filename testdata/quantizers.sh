#!/bin/sh
# Trains a VQ-VAE with each kind of codebook and prints what they reach as a
# Markdown table.
#
#     testdata/quantizers.sh DATA OUT [FLAG]...
#
# DATA is a data set as for "tessera vqvae train", OUT a folder for the models,
# which are not trained again if they are there. Further flags go to the training:
#
#     testdata/quantizers.sh fashion-mnist:data/fashion runs/quantizers --codes 128
#
# TESSERA names the command, "tessera" if it is not set.
set -eu
if [ $# -lt 2 ]; then
	echo "usage: $0 DATA OUT [FLAG]..." >&2
	exit 2
fi
data=$1 out=$2
shift 2
tessera=${TESSERA:-tessera}

# field prints a number of the JSON on stdin.
field() {
	sed -n "s/^ *\"$1\": \([0-9.]*\),\{0,1\}\$/\1/p"
}

echo '| codebook | PSNR | SSIM | codes used | perplexity |'
echo '|---|---:|---:|---:|---:|'
for kind in gradient ema gumbel fsq; do
	if [ ! -f "$out/$kind/model.safetensors" ]; then
		"$tessera" vqvae train --data "$data" --out "$out/$kind" --quantizer $kind "$@" >&2
	fi
	result=$("$tessera" vqvae eval --model "$out/$kind" --data "$data" --json)
	number() { echo "$result" | field "$1"; }
	printf '| %s | %.2f dB | %.3f | %d of %d | %.1f |\n' $kind \
		"$(number psnr)" "$(number ssim)" "$(number codes_used)" "$(number codes)" "$(number perplexity)"
done
