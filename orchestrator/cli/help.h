/* SPDX-License-Identifier: Apache-2.0 */
/* --help, printed from the table of verbs. */
#pragma once

struct cli_verb;

/* All verbs, the common options and the exit codes. */
void help_print(void);

/* One verb with its options. */
void help_print_verb(const struct cli_verb *verb);

/* Every verb that is, or begins with, this word. */
void help_print_group(const char *word);
