/* SPDX-License-Identifier: MIT */
/*
 * crime.c - commit, judge and record. See crime.h.
 */
#define _GNU_SOURCE
#include "crime.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

const size_t crime_bytes[CRIME_SIZES] = {64, 4 * KIB, 100 * KIB, 8 * MIB};

void *crime_object(size_t bytes)
{
    char *p = m.malloc(bytes);
    if (p == NULL)
        death_fail("no memory");
    p[0] = p[bytes - 1] = 1;
    return p;
}

size_t crime_many(size_t bytes, size_t most)
{
    size_t fit = 64 * MIB / bytes;
    return fit < 4 ? 4 : fit < most ? fit : most;
}

static void *call_free(void *p)
{
    m.free(p);
    return NULL;
}

void crime_free_elsewhere(void *p)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, call_free, p) != 0)
        death_fail("pthread_create");
    pthread_join(thread, NULL);
}

void crime_settle(size_t bytes)
{
    static void *p[4000];
    size_t count = crime_many(bytes, 4000);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++)
            p[i] = crime_object(bytes);
        for (size_t i = 0; i < count; i++)
            m.free(p[i]);
    }
}

static bool is_whole_line(const char *text)
{
    static const char name[] = "merlon: ";
    size_t length = strlen(text);
    return strncmp(text, name, sizeof name - 1) == 0 &&
           text[length - 1] == '\n' && strchr(text, '\n') == text + length - 1;
}

bool crime_try(const struct crime *crime, struct death *death)
{
    death_run(death, crime->commit, crime->arg, DEATH_SECONDS);
    if (!crime->caught)
        return true;
    if (death->timed_out)
        return false;
    if (death->signal == SIGABRT)
        return is_whole_line(death->text) &&
               death_says(death->text, crime->kinds);
    if (death->signal == SIGSEGV)
        return crime->may_fault;
    return death->signal == 0 && death->status == CRIME_HARMLESS &&
           crime->may_miss;
}

static const char *outcome_of(const struct death *death)
{
    static char text[200];
    if (death->signal == 0 && death->status == CRIME_UNNOTICED)
        return "not noticed";
    if (death->signal == 0 && death->status == CRIME_HARMLESS)
        return "not noticed, no effect";
    if (death->signal == 0 && death->status == CRIME_SUCCEEDED)
        return "SUCCEEDED";
    snprintf(text, sizeof text, "%s", death_describe(death));
    text[strcspn(text, ",")] = 0;
    /* Up to the first number, so that the tables of two runs compare. */
    const char *line = strstr(death->text, "merlon: ");
    if (line != NULL) {
        line += strlen("merlon: ");
        snprintf(text, sizeof text, "report: %.*s", (int)strcspn(line, ":\n"),
                 line);
    }
    return text;
}

void crime_judge(const struct crime *crime)
{
    struct death death;
    bool fine = crime_try(crime, &death);
    printf("# | %s | %zu | %s | %s |\n", crime->name, crime->bytes,
           outcome_of(&death), crime->caught ? crime->kinds : "-");
    fflush(stdout);
    ck_assert_msg(fine, "%s, %zu bytes: wanted \"%s\"%s; got %s", crime->name,
                  crime->bytes, crime->kinds,
                  crime->may_fault ? " or a fault" : "",
                  death_describe(&death));
}
