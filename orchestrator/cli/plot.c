/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/plot.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "orchestrator/cli/html.h"

/* Units of the drawing; the page scales it. */
#define WIDTH 800.0
#define HEIGHT 200.0
#define LEFT 80.0
#define BOTTOM 24.0
#define COLOURS 7

static double larger(double a, double b)
{
    return a > b ? a : b;
}

char *plot_bytes(double value, char *buf, size_t size)
{
    return str_from_bytes((uint64_t)value, buf, size);
}

char *plot_rate(double value, char *buf, size_t size)
{
    char bytes[32];

    snprintf(buf, size, "%s/s", str_from_bytes((uint64_t)value, bytes, sizeof(bytes)));
    return buf;
}

static void begin(FILE *out, const char *title, double height)
{
    fprintf(out, "<figure><svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", WIDTH, height);
    html_text(out, title);
    fputs("\"><title>", out);
    html_text(out, title);
    fputs("</title>\n", out);
}

static void end(FILE *out, const char *title)
{
    fputs("</svg><figcaption>", out);
    html_text(out, title);
    fputs("</figcaption></figure>\n", out);
}

static void put_text(FILE *out, double x, double y, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    html_text(out, text);
    fputs("</text>\n", out);
}

static void put_rect(FILE *out, double x, double y, double width, double height, size_t colour,
                     const char *title)
{
    fprintf(out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
            "style=\"fill:var(--c%zu)\"><title>", x, y, width, height, colour % COLOURS);
    html_text(out, title);
    fputs("</title></rect>\n", out);
}

static double highest(const struct plot_point *points, size_t count)
{
    double most = 0;

    for (size_t i = 0; i < count; i++)
        most = larger(most, points[i].y);
    return most > 0 ? most : 1;
}

/* Three lines with their values. */
static void put_axis(FILE *out, double most, plot_format_fn *format)
{
    for (int i = 0; i <= 2; i++) {
        double y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 12) * i / 2;
        char text[40];

        fprintf(out, "<line x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\" "
                "style=\"stroke:var(--line)\"/>", LEFT, WIDTH, y, y);
        put_text(out, LEFT - 6, y + 4, "end", format(most * i / 2, text, sizeof(text)));
    }
}

static double height_of(double value, double most)
{
    return (HEIGHT - BOTTOM - 12) * (value > 0 ? value : 0) / most;
}

void plot_bars(FILE *out, const char *title, const struct plot_point *points, size_t count,
               plot_format_fn *format)
{
    double most = highest(points, count), step = (WIDTH - LEFT) / (double)(count ? count : 1);

    begin(out, title, HEIGHT);
    put_axis(out, most, format);
    for (size_t i = 0; i < count; i++) {
        char value[40];
        _cleanup_free_ char *label = str_format("%s: %s", points[i].label,
                                                format(points[i].y, value, sizeof(value)));
        double height = height_of(points[i].y, most);

        put_rect(out, LEFT + step * ((double)i + 0.1), HEIGHT - BOTTOM - height, step * 0.8, height,
                 0, label);
        if (count <= 12)
            put_text(out, LEFT + step * ((double)i + 0.5), HEIGHT - 8, "middle", points[i].label);
    }
    end(out, title);
}

void plot_line(FILE *out, const char *title, const struct plot_point *points, size_t count,
               plot_format_fn *format)
{
    double most = highest(points, count), first = count ? points[0].x : 0;
    double length = count && points[count - 1].x > first ? points[count - 1].x - first : 1;

    begin(out, title, HEIGHT);
    put_axis(out, most, format);
    fputs("<polyline style=\"fill:none;stroke:var(--c1);stroke-width:2\" points=\"", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%.1f,%.1f", i ? " " : "",
                LEFT + (WIDTH - LEFT - 8) * (points[i].x - first) / length,
                HEIGHT - BOTTOM - height_of(points[i].y, most));
    fputs("\"/>\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" style=\"fill:var(--c1)\"><title>",
                LEFT + (WIDTH - LEFT - 8) * (points[i].x - first) / length,
                HEIGHT - BOTTOM - height_of(points[i].y, most));
        html_text(out, points[i].label);
        fputs("</title></circle>\n", out);
    }
    end(out, title);
}

static double sum_of(const struct plot_point *parts, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += parts[i].y > 0 ? parts[i].y : 0;
    return sum > 0 ? sum : 1;
}

void plot_split(FILE *out, const char *title, const struct plot_point *parts, size_t count)
{
    double sum = sum_of(parts, count), x = 0;

    begin(out, title, 50 + 18 * (double)((count + 3) / 4));
    for (size_t i = 0; i < count; i++) {
        double width = WIDTH * (parts[i].y > 0 ? parts[i].y : 0) / sum;
        _cleanup_free_ char *label = str_format("%s: %.2f s", parts[i].label, parts[i].y);
        double left = (double)(i % 4) * WIDTH / 4, top = 48 + 18 * (double)(i / 4);

        put_rect(out, x, 4, width, 32, i, label);
        put_rect(out, left, top - 8, 10, 10, i, label);
        put_text(out, left + 16, top + 1, "start", label);
        x += width;
    }
    end(out, title);
}

void plot_timeline(FILE *out, const char *title, const struct plot_point *parts, size_t count)
{
    double first = count ? parts[0].x : 0;
    double length = count ? parts[count - 1].x + parts[count - 1].y - first : 1;

    begin(out, title, 44);
    for (size_t i = 0; i < count; i++) {
        _cleanup_free_ char *label = str_format("%s: %.1f s", parts[i].label, parts[i].y);

        put_rect(out, WIDTH * (parts[i].x - first) / (length > 0 ? length : 1), 4,
                 larger(WIDTH * parts[i].y / (length > 0 ? length : 1), 1), 32, i, label);
    }
    end(out, title);
}
