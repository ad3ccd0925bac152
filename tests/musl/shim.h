/* SPDX-License-Identifier: MIT */
/* shim.h - what the tests call and musl does not declare: see shim.c. */
const char *sigabbrev_np(int signal);
