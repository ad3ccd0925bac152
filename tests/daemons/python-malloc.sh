#!/bin/sh
# SPDX-License-Identifier: MIT
#
# python-malloc: the same with PYTHONMALLOC=malloc, so that every object of
# Python is one of malloc's.
python_environment=PYTHONMALLOC=malloc
. "$(dirname "$0")/python.sh"
