#!/bin/sh
# SPDX-License-Identifier: MIT
#
# php-malloc: as php-fpm, with USE_ZEND_ALLOC=0: every value is a block of malloc.
. "$(dirname "$0")/php-fpm.sh"
