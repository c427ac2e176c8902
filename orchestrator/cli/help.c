/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/help.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "base/str.h"
#include "orchestrator/cli/verbs.h"

#define OPTION_COLUMN 27
#define VERB_COLUMN 47

static const struct {
    enum exit_code code;
    const char *meaning;
} exit_codes[] = {
    {EXIT_CODE_OK, "done"},
    {EXIT_CODE_FAILED, "failed"},
    {EXIT_CODE_USAGE, "wrong use"},
    {EXIT_CODE_NOT_FOUND, "not found"},
    {EXIT_CODE_EXISTS, "exists already"},
    {EXIT_CODE_STATE, "not possible in this state"},
    {EXIT_CODE_BUSY, "busy"},
    {EXIT_CODE_SPACE, "no space"},
    {EXIT_CODE_SOURCE, "source or slipwayd not reached"},
    {EXIT_CODE_DAMAGED, "damaged or of another version"},
    {EXIT_CODE_CANCELLED, "cancelled"},
};

/* Text with further lines indented as far as the first one stands. */
static void print_indented(const char *text, int column)
{
    for (;;) {
        int length = (int)strcspn(text, "\n");

        printf("%.*s\n", length, text);
        if (!text[length])
            return;
        text += length + 1;
        printf("%*s", column, "");
    }
}

static void print_option(const struct cli_option *o)
{
    _cleanup_free_ char *letter = o->letter ? str_format("-%c, ", o->letter) : str_dup("");
    _cleanup_free_ char *left = str_format("  %s--%s%s%s", letter, o->name, o->argument ? " " : "",
                                           o->argument ? o->argument : "");

    if (strlen(left) + 2 > OPTION_COLUMN)
        printf("%s\n%*s", left, OPTION_COLUMN, "");
    else
        printf("%-*s", OPTION_COLUMN, left);
    print_indented(o->help, OPTION_COLUMN);
}

static void print_options(const struct cli_option *options)
{
    for (; options->name; options++)
        if (options->help)
            print_option(options);
}

static bool has_options(const struct cli_verb *verb)
{
    return verb->options || verb->flags & CLI_FOLLOWS;
}

static void print_verb_line(const struct cli_verb *verb)
{
    _cleanup_free_ char *left =
        str_format("  slipway %s%s%s%s", verb->name, verb->arguments[0] ? " " : "",
                   verb->arguments, has_options(verb) ? " [OPTION...]" : "");

    if (strlen(left) + 1 > VERB_COLUMN)
        printf("%s\n%*s%s\n", left, VERB_COLUMN, "", verb->summary);
    else
        printf("%-*s%s\n", VERB_COLUMN, left, verb->summary);
}

void help_print(void)
{
    size_t used;

    puts("slipway moves virtual machines onto this node with almost no downtime.\n");
    for (size_t i = 0; cli_verbs[i]; i++)
        print_verb_line(cli_verbs[i]);
    puts("\n'slipway VERB --help' shows the options of a verb.  Options of every verb but engine\n"
         "and mount:");
    print_options(cli_common_options);
    used = (size_t)printf("\nExit codes:");
    for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++) {
        _cleanup_free_ char *text = str_format(" %d %s%s", exit_codes[i].code,
                                               exit_codes[i].meaning,
                                               i + 1 < ARRAY_SIZE(exit_codes) ? ";" : "");

        if (used + strlen(text) > 90)
            used = (size_t)printf("\n ") - 1;
        used += (size_t)printf("%s", text);
    }
    putchar('\n');
}

void help_print_verb(const struct cli_verb *verb)
{
    const struct cli_option *options;

    printf("slipway %s%s%s%s\n\n%s\n", verb->name, verb->arguments[0] ? " " : "", verb->arguments,
           verb->flags & CLI_FOREIGN ? "" : " [OPTION...]", verb->summary);
    if (verb->flags & CLI_FOREIGN)
        return;
    putchar('\n');
    for (unsigned set = 0; (options = verb_options(verb, set)); set++)
        print_options(options);
}

void help_print_group(const char *word)
{
    bool first = true;

    for (size_t i = 0; cli_verbs[i]; i++) {
        if (!verb_belongs(cli_verbs[i], word))
            continue;
        if (!first)
            putchar('\n');
        help_print_verb(cli_verbs[i]);
        first = false;
    }
}
