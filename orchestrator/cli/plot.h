/* SPDX-License-Identifier: Apache-2.0 */
/* Plots as inline SVG: with a title for who cannot see them; the figures are in a table beside. */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct plot_point {
    double x, y;
    const char *label; /* of this point; not NULL */
};

/* How a value of the y axis is written. */
typedef char *plot_format_fn(double value, char *buf, size_t size);
plot_format_fn plot_bytes, plot_rate;

/* A bar for each point, in their order (x does not count). */
void plot_bars(FILE *out, const char *title, const struct plot_point *points, size_t count,
               plot_format_fn *format);

/* The points joined by a line; x in seconds. */
void plot_line(FILE *out, const char *title, const struct plot_point *points, size_t count,
               plot_format_fn *format);

/* One bar, split: y is the length of each part, in seconds.  With a legend. */
void plot_split(FILE *out, const char *title, const struct plot_point *parts, size_t count);

/* Parts one behind the other on an axis of time: x where each begins, y how long it is. */
void plot_timeline(FILE *out, const char *title, const struct plot_point *parts, size_t count);
