/* The command line. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/compare.h"
#include "config/config.h"
#include "server/advise.h"
#include "server/server.h"

#define EXIT_USAGE 2

/* Those with a command line of their own. */
static const struct {
    const char *name, *help;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"advise", "tell which transport suits, and what each costs", advise_main},
    {"compare", "read a live route over all four transports at once",
     compare_main},
    {"bench", "load a server, and check order, loss and age", bench_main},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
    fputs("usage: penstock [run] FILE    serve what the config FILE says\n"
          "       penstock check FILE    tell what is wrong with it\n"
          "       penstock schema        print its JSON Schema\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "       penstock %-13s %s\n", commands[i].name,
                commands[i].help);
    fputs("       penstock --help | --version\n"
          "`penstock COMMAND --help` tells more of those without FILE.  The\n"
          "manual is penstock(1), that of the file penstock.json(5).\n", out);
}

/* Prints what is wrong. */
static struct config *load(const char *file)
{
    struct buffer errors = {0};
    struct config *config = NULL;

    if (config_load(&config, file, &errors) < 0) {
        if (errors.len > 0)
            fwrite(errors.data, 1, errors.len, stderr);
        else
            fprintf(stderr, "penstock: out of memory\n");
    }
    buffer_fini(&errors);
    return config;
}

static int check(const char *file)
{
    struct config *config = load(file);

    if (config == NULL)
        return EXIT_FAILURE;
    printf("%s: ok (%u route%s, %u backend%s)\n", file, config->route_count,
           config->route_count == 1 ? "" : "s", config->backend_count,
           config->backend_count == 1 ? "" : "s");
    config_unref(&config);
    return EXIT_SUCCESS;
}

static int run(const char *file)
{
    struct config *config = load(file);
    int rc;

    if (config == NULL)
        return EXIT_FAILURE;
    rc = server_run(config);
    config_unref(&config);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Answers to what needs no file; -1 where args are not of that kind. */
static int inform(int argc, char **argv)
{
    if (argc != 2)
        return -1;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        print_usage(stdout);
    else if (strcmp(argv[1], "--version") == 0)
        puts("penstock " PACKAGE_VERSION);
    else if (strcmp(argv[1], "schema") == 0)
        config_schema(stdout);
    else
        return -1;
    return EXIT_SUCCESS;
}

static int dispatch(int argc, char **argv)
{
    int rc;

    for (size_t i = 0; argc > 1 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    rc = inform(argc, argv);
    if (rc >= 0)
        return rc;
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return check(argv[2]);
    if (argc == 3 && strcmp(argv[1], "run") == 0)
        return run(argv[2]);
    if (argc == 3 && strcmp(argv[1], "schema") == 0 &&
        strcmp(argv[2], "--manual") == 0) {
        config_manual(stdout); /* for doc/penstock.json.5 */
        return EXIT_SUCCESS;
    }
    if (argc == 2 && argv[1][0] != '-' && strcmp(argv[1], "run") != 0 &&
        strcmp(argv[1], "check") != 0)
        return run(argv[1]);
    print_usage(stderr);
    return EXIT_USAGE;
}

/* What could not be written, to a full disk say, was not done. */
int main(int argc, char **argv)
{
    int rc = dispatch(argc, argv);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("penstock: standard output");
        return EXIT_FAILURE;
    }
    return rc;
}
