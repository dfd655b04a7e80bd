#include "bench/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool has(const struct process_set *set, pid_t pid)
{
    for (unsigned i = 0; i < set->count; i++)
        if (set->pids[i] == pid)
            return true;
    return false;
}

static void add(struct process_set *set, pid_t pid)
{
    if (set->count < PROCESS_MAX && !has(set, pid))
        set->pids[set->count++] = pid;
}

/* 0: there is none such. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    const char *end;
    FILE *f;
    int parent = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    /* The name, in parentheses, may hold anything. */
    end = fgets(line, sizeof(line), f) == NULL ? NULL : strrchr(line, ')');
    if (end == NULL || sscanf(end, ") %*c %d", &parent) != 1)
        parent = 0;
    fclose(f);
    return parent;
}

/* Children of those in the set; whether there was any. */
static bool add_children(struct process_set *set)
{
    unsigned before = set->count;
    DIR *proc = opendir("/proc");
    const struct dirent *entry;

    if (proc == NULL)
        return false;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);

        if (pid > 0 && has(set, parent_of(pid)))
            add(set, pid);
    }
    closedir(proc);
    return set->count > before;
}

bool process_family(struct process_set *set, const pid_t *pids, unsigned count)
{
    clockid_t clock;

    set->count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (clock_getcpuclockid(pids[i], &clock) != 0)
            return false;
        add(set, pids[i]);
    }
    while (add_children(set))
        ;
    return true;
}

static uint64_t cpu_us(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t pss_bytes(pid_t pid)
{
    unsigned long long kib = 0;
    char path[64], line[256];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            break;
    fclose(f);
    return kib * 1024;
}

struct process_cost process_cost(const struct process_set *set)
{
    struct process_cost cost = {0, 0};

    for (unsigned i = 0; i < set->count; i++) {
        cost.cpu_us += cpu_us(set->pids[i]);
        cost.pss_bytes += pss_bytes(set->pids[i]);
    }
    return cost;
}

uint64_t process_machine_busy_us(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle, wait, irq = 0,
                       soft = 0, steal = 0;
    FILE *f = fopen("/proc/stat", "re");

    if (f == NULL)
        return 0;
    if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
               &system, &idle, &wait, &irq, &soft, &steal) != 8)
        user = nice = system = irq = soft = steal = 0;
    fclose(f);
    return (user + nice + system + irq + soft + steal) * 1000000 /
           (uint64_t)sysconf(_SC_CLK_TCK);
}
