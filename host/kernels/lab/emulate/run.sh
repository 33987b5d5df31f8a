#!/bin/sh
# Runs a check: ./run.sh prompt_check | vision_check | quant_check
set -e
cd "$(dirname "$0")"
out=${TMPDIR:-/tmp}/ocr-emulate
python3 translate.py ../../cuda "$out"
${CXX:-g++} -std=c++17 -O2 -w -include emulated.h -I . -I "$out" "$1.cpp" emulated.cpp -o "$out/$1"
time "$out/$1"
