/* SPDX-License-Identifier: MIT */
/*
 * verdict.c - see verdict.h.
 *
 * ELF is read by object.c, which merlon-stat needs for memory, where no
 * library helps; so nothing else is linked for it.
 */
#include "verdict.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elf-fields.h"
#include "object.h"
#include "tool.h"

enum {
    SCRIPT_DEPTH_MAX = 5, /* the kernel's own bound */
    NAME_BYTES = 256,
};

static void __attribute__((format(printf, 3, 4)))
judge(struct judgement *judgement, enum verdict verdict, const char *format,
      ...)
{
    va_list arguments;

    judgement->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(judgement->text, sizeof judgement->text, format, arguments);
    va_end(arguments);
}

/* ------------------------------------------------------------------- rights */

/*
 * The kernel sets AT_SECURE if rights are gained: then the loader ignores
 * LD_PRELOAD, and merlon would ignore its options. Root gains nothing by root's
 * programs, and nobody does under no_new_privs.
 */
static bool gains_rights(struct judgement *judgement, const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0
        || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return false;
    bool user = (status.st_mode & S_ISUID) && status.st_uid != getuid();
    bool group = (status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP)
        && status.st_gid != getgid();
    if (user || group) {
        judge(judgement, VERDICT_SET_ID, "%s is set-%s-ID: the dynamic loader "
              "ignores LD_PRELOAD for it; link it with merlon instead",
              path, user ? "user" : "group");
        return true;
    }
    if (getuid() != 0
        && getxattr(path, "security.capability", NULL, 0) > 0) {
        judge(judgement, VERDICT_CAPABILITIES, "%s has file capabilities: the "
              "dynamic loader ignores LD_PRELOAD for it; give them by "
              "AmbientCapabilities= in its unit, or link it with merlon",
              path);
        return true;
    }
    return false;
}

/* --------------------------------------------------------------------- ELF */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A library of this kind replaces malloc itself, and must come first. */
static bool is_sanitizer(const char *library)
{
    static const char *const starts[] = {
        "libasan.", "libtsan.", "liblsan.", "libhwasan.",
        "libclang_rt.asan", "libclang_rt.tsan", "libclang_rt.hwasan",
        "libclang_rt.lsan",
    };

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (strncmp(library, starts[i], strlen(starts[i])) == 0)
            return true;
    }
    return false;
}

static bool has_sanitizer(const struct object *object, char *name,
                          size_t room)
{
    static const char *const symbols[] = {
        "__asan_init", "__tsan_init", "__msan_init", "__lsan_init_0",
        "__hwasan_init",
    };

    for (unsigned i = 0; object_needed(object, i, name, room); i++) {
        if (is_sanitizer(name))
            return true;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        if (object_symbol(object, symbols[i]) != 0) {
            snprintf(name, room, "%s", symbols[i]);
            return true;
        }
    }
    return false;
}

static void interpreter_of(const struct object *object, char *name,
                           size_t room)
{
    *name = '\0';
    if (object->interpreter != 0)
        image_text(object->image, object->interpreter, name, room);
}

/* The C library that a loader belongs to, as far as its name says. */
static const char *c_library_of(const char *interpreter)
{
    const char *name = base_name(interpreter);

    if (strncmp(name, "ld-musl-", 8) == 0)
        return "musl";
    if (strncmp(name, "ld-linux", 8) == 0 || strcmp(name, "ld64.so.2") == 0
        || strcmp(name, "ld64.so.1") == 0 || strcmp(name, "ld.so.1") == 0)
        return "glibc";
    return name;
}

/* The C library that a library is made for. */
static const char *c_library_needed(const struct object *library)
{
    char name[NAME_BYTES];

    for (unsigned i = 0; object_needed(library, i, name, sizeof name); i++) {
        if (strncmp(name, "libc.musl", 9) == 0 || strcmp(name, "libc.so") == 0)
            return "musl";
    }
    return "glibc";
}

static void judge_object(struct judgement *judgement,
                         const struct object *program,
                         const struct object *library)
{
    const char *path = program->image->name;
    char name[NAME_BYTES];

    interpreter_of(program, name, sizeof name);
    if (name[0] == '\0') {
        judge(judgement, VERDICT_STATIC, "%s is linked statically: no loader "
              "runs, nothing can be preloaded; link it with merlon instead",
              path);
        return;
    }
    const char *needed = c_library_needed(library);
    const char *its = c_library_of(name);
    if (strcmp(needed, its) != 0) {
        judge(judgement, VERDICT_C_LIBRARY, "%s is a program for %s, and %s "
              "is made for %s", path, its, library->image->name, needed);
        return;
    }
    if (has_sanitizer(program, name, sizeof name)) {
        judge(judgement, VERDICT_SANITIZER, "%s is built with a sanitizer "
              "(%s), which has a malloc of its own and must come first",
              path, name);
        return;
    }
    if (object_symbol(program, "merlon_malloc") != 0) {
        judge(judgement, VERDICT_OWN_MALLOC, "%s has a merlon linked in "
              "already: start it as it is", path);
        return;
    }
    if (object_symbol(program, "malloc") != 0
        || object_symbol(program, "free") != 0) {
        judge(judgement, VERDICT_OWN_MALLOC, "%s brings a malloc of its own, "
              "which comes before any that is preloaded", path);
        return;
    }
    judge(judgement, VERDICT_WORKS, "%s can run on %s", path,
          base_name(library->image->name));
}

static void open_library(struct image *image, struct object *object,
                         const char *path)
{
    if (!image_open_file(image, path))
        fail("%s: %s", path, errno != 0 ? strerror(errno)
             : "this is no library");
    if (image->type != ET_DYN || !object_of_file(object, image)
        || object_symbol(object, "merlon_process") == 0)
        fail("%s: this is not merlon", path);
}

static bool same_machine(const struct image *a, const struct image *b)
{
    return a->wide == b->wide && a->order == b->order
        && a->machine == b->machine;
}

static void judge_elf(struct judgement *judgement, struct image *program,
                      const char *library_path)
{
    struct image library;
    struct object own, its;

    open_library(&library, &its, library_path);
    if (!same_machine(program, &library)) {
        judge(judgement, VERDICT_MACHINE, "%s is a program for another "
              "machine (ELF machine %u, %u bits) than %s (machine %u, %u "
              "bits)", program->name, program->machine,
              program->wide ? 64 : 32, library.name, library.machine,
              library.wide ? 64 : 32);
    } else if ((program->type != ET_EXEC && program->type != ET_DYN)
               || !object_of_file(&own, program)) {
        judge(judgement, VERDICT_NO_PROGRAM, "%s is an ELF file, but no "
              "program", program->name);
    } else {
        judge_object(judgement, &own, &its);
    }
    image_close(&library);
}

/* ------------------------------------------------------------------ scripts */

char *verdict_find_program(const char *name)
{
    const char *list = getenv("PATH");
    int error = ENOENT;

    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? text_of("%s", name) : NULL;
    if (!list)
        list = "/bin:/usr/bin";
    for (const char *at = list;;) {
        size_t length = strcspn(at, ":");
        /* An empty element is the current directory. */
        char *path = length == 0 ? text_of("./%s", name)
            : text_of("%.*s/%s", (int)length, at, name);
        struct stat status;
        if (*name != '\0' && stat(path, &status) == 0
            && S_ISREG(status.st_mode)) {
            if (access(path, X_OK) == 0)
                return path;
            error = EACCES;
        }
        free(path);
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    errno = error;
    return NULL;
}

/* The next word of a line; the line goes on behind it. */
static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " \t");

    *line = word + strcspn(word, " \t");
    if (**line != '\0')
        *(*line)++ = '\0';
    return word;
}

/*
 * The interpreter of a script; NULL: it is none. For env(1) it is the program
 * that this starts.
 */
static char *interpreter_of_script(const char *path)
{
    char line[NAME_BYTES];
    FILE *file = fopen(path, "re");
    bool script = file && fgets(line, sizeof line, file)
        && line[0] == '#' && line[1] == '!';

    if (file)
        fclose(file);
    if (!script)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    char *rest = line + 2;
    char *word = next_word(&rest);
    if (strcmp(base_name(word), "env") != 0)
        return *word != '\0' ? text_of("%s", word) : NULL;
    char *env = word;
    /* Options of env, and what it sets. */
    do
        word = next_word(&rest);
    while (*word == '-' || strchr(word, '='));
    char *found = *word != '\0' ? verdict_find_program(word) : NULL;
    return found ? found : text_of("%s", env);
}

static void judge_at(struct judgement *judgement, const char *path,
                     const char *library, int depth)
{
    struct image program;

    /* Only of what the kernel executes in the end do the rights count: those
       of a script are ignored. */
    if (image_open_file(&program, path)) {
        if (!gains_rights(judgement, path))
            judge_elf(judgement, &program, library);
        image_close(&program);
        return;
    }
    if (errno != 0) {
        judge(judgement, VERDICT_NO_PROGRAM, "%s: %s", path, strerror(errno));
        return;
    }
    char *interpreter = depth < SCRIPT_DEPTH_MAX ? interpreter_of_script(path)
        : NULL;
    if (!interpreter) {
        judge(judgement, VERDICT_NO_PROGRAM, "%s is neither an ELF program "
              "nor a script that names its interpreter", path);
        return;
    }
    judge_at(judgement, interpreter, library, depth + 1);
    char *text = text_of("%s is a script: %s", path, judgement->text);
    judge(judgement, judgement->verdict, "%s", text);
    free(text);
    free(interpreter);
}

void verdict_judge(struct judgement *judgement, const char *program,
                   const char *library)
{
    *judgement = (struct judgement){ .verdict = VERDICT_NO_PROGRAM };
    judge_at(judgement, program, library, 0);
}
