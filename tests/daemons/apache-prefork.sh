#!/bin/sh
# SPDX-License-Identifier: MIT
#
# apache-prefork: as apache-event, with a process for each connection.
. "$(dirname "$0")/apache-event.sh"
