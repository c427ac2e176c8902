/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb of slipway says about itself.  --help, the parser of options and the completion
 * are made from it; a test compares it with the man page.  A new verb is a struct cli_verb in its
 * own file and a line in verbs.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cli_common;

struct cli_option {
    const char *name;     /* without the hyphens; NULL ends a list */
    const char *argument; /* as help shows it: "FILE"; NULL: the option takes none */
    int key;              /* KEY_OWN and above, see common.h */
    const char *help;     /* may have several lines; NULL: taken, but not shown */
    const char *values;   /* for the completion, see `offers` of a verb; NULL: nothing */
    char letter;          /* also as -v; 0: none */
};

#define CLI_OPTIONS_END {NULL, NULL, 0, NULL, NULL, 0}

enum {
    CLI_FOLLOWS = 1, /* takes --follow and --detach */
    CLI_FOREIGN = 2  /* parses its options itself and has a --help of its own */
};

struct cli_verb {
    const char *name;      /* one word, or two: "source add" */
    const char *arguments; /* as help shows them: "NAME [A [B]]"; "": none */
    int least, most;       /* how many arguments there may be */
    const char *summary;   /* one line, no full stop */
    /* argv[0] is the (last word of the) verb; returns an exit code. */
    int (*run)(int argc, char **argv);
    const struct cli_option *options; /* its own ones; NULL: none */
    unsigned flags;
    /* What completes an argument: words divided by spaces, and @migration, @source, @plan, @vm
     * (SOURCE/VM), @file, @folder.  NULL: nothing. */
    const char *offers;
};

/* All verbs in the order of --help; ends with NULL. */
extern const struct cli_verb *const cli_verbs[];

/* Options of every verb, and of those with CLI_FOLLOWS. */
extern const struct cli_option cli_common_options[], cli_follow_options[];

/* The verb that argv[0…] names; *ret_words: how many words that took.  NULL: there is none. */
const struct cli_verb *verb_find(int argc, char *const *argv, int *ret_words);

/* True when `word` is the first of verbs of two words. */
bool verb_is_group(const char *word);

/* True when the verb's name is, or begins with, the word. */
bool verb_belongs(const struct cli_verb *verb, const char *word);

/* A verb's sets of options one after the other: its own, following, common.  NULL: no more. */
const struct cli_option *verb_options(const struct cli_verb *verb, unsigned set);
