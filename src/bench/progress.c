#include "bench/progress.h"

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define FIRST_US    1000000 /* a short run says nothing */
#define TERMINAL_US 500000
#define LINE_US     5000000

static atomic_int interrupted; /* by any thread's handler */

static void on_signal(int signal)
{
    interrupted = signal;
}

/* A second one ends the process, should the first not do. */
static void listen_to(int number)
{
    struct sigaction action = {
        .sa_handler = on_signal,
        .sa_flags = (int)SA_RESETHAND,
    };

    sigaction(number, &action, NULL);
}

void progress_init(struct progress *p, const char *name)
{
    *p = (struct progress){
        .name = name,
        .next_us = clock_now_us() + FIRST_US,
        .terminal = isatty(STDERR_FILENO) == 1,
    };
    listen_to(SIGINT);
    listen_to(SIGTERM);
}

void progress_say(struct progress *p, const char *format, ...)
{
    uint64_t now_us = clock_now_us();
    va_list args;

    if (now_us < p->next_us)
        return;
    p->next_us = now_us + (p->terminal ? TERMINAL_US : LINE_US);
    p->open = p->terminal;
    fprintf(stderr, p->terminal ? "\r\033[K%s: " : "%s: ", p->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (!p->terminal)
        fputc('\n', stderr);
    fflush(stderr);
}

void progress_fini(struct progress *p)
{
    if (p->open)
        fputs("\r\033[K", stderr);
    p->open = false;
}

bool progress_interrupted(void)
{
    return interrupted != 0;
}

void progress_pause(uint64_t ms)
{
    const struct timespec t = {(time_t)(ms / 1000),
                               (long)(ms % 1000) * 1000000};

    if (!progress_interrupted())
        nanosleep(&t, NULL); /* a signal ends it */
}
