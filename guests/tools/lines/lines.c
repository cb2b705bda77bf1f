/* lines [-n] [FILE...]: counts lines, words and bytes of files, or of standard input.
 *
 * Prints one line for each file, and a total where there are several; with -n only the number of lines. A file that
 * can't be read is reported on standard error, the others are still counted, and the command fails.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct counts {
    unsigned long long lines;
    unsigned long long words;
    unsigned long long bytes;
};

static bool is_space(int byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Adds what is in the stream; false where it can't be read. */
static bool count(FILE *stream, struct counts *counts)
{
    bool in_word = false;
    int byte;
    while ((byte = getc(stream)) != EOF) {
        counts->bytes++;
        counts->lines += byte == '\n';
        counts->words += !is_space(byte) && !in_word;
        in_word = !is_space(byte);
    }
    return !ferror(stream);
}

static bool count_file(const char *path, struct counts *counts)
{
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return false;
    bool done = count(stream, counts);
    int error = errno;
    fclose(stream);
    errno = error;
    return done;
}

static void print(const struct counts *counts, bool lines_only, const char *name)
{
    printf("%llu", counts->lines);
    if (!lines_only)
        printf(" %llu %llu", counts->words, counts->bytes);
    if (name != NULL)
        printf(" %s", name);
    putchar('\n');
}

static void add(struct counts *total, const struct counts *counts)
{
    total->lines += counts->lines;
    total->words += counts->words;
    total->bytes += counts->bytes;
}

static int complain(const char *name)
{
    fprintf(stderr, "lines: %s: %s\n", name, strerror(errno));
    return 1;
}

static int count_files(char **paths, int how_many, bool lines_only)
{
    struct counts total = {0};
    int status = 0;
    for (int i = 0; i < how_many; i++) {
        struct counts counts = {0};
        if (!count_file(paths[i], &counts)) {
            status = complain(paths[i]);
            continue;
        }
        print(&counts, lines_only, paths[i]);
        add(&total, &counts);
    }
    if (how_many > 1)
        print(&total, lines_only, "total");
    return status;
}

static int count_input(bool lines_only)
{
    struct counts counts = {0};
    if (!count(stdin, &counts))
        return complain("standard input");
    print(&counts, lines_only, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    bool lines_only = argc > 1 && strcmp(argv[1], "-n") == 0;
    int first = lines_only ? 2 : 1;
    if (first < argc && argv[first][0] == '-' && argv[first][1] != '\0') {
        fprintf(stderr, "lines: unknown option %s\nusage: lines [-n] [FILE...]\n", argv[first]);
        return 2;
    }
    return first < argc ? count_files(argv + first, argc - first, lines_only) : count_input(lines_only);
}
