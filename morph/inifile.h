/* SPDX-License-Identifier: Apache-2.0 */
/* Files of [Section] and Key=Value lines: systemd's (systemd.syntax(7)) and NetworkManager's. Pure.
 */
#pragma once

#include "morph/netconfig.h"

/* A line and where it stands. */
struct iniline {
    struct word line;       /* whole, without its newline */
    struct word section;    /* the one it is in; of a header: itself */
    struct word key, value; /* empty unless it is an assignment */
    bool is_header;
};

/* The next line; *l starts as {0} and is kept between calls.  False at the end. */
bool inifile_next(const char **text, struct iniline *l);

/* Is it the assignment of "Section.Key"? */
bool iniline_is(const struct iniline *l, const char *name);

/* The first value of "Section.Key" that is not empty; empty when there is none. */
struct word inifile_get(const char *text, const char *name);
