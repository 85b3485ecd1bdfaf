/* The retry storm that simulator.py measures the simulator against, and nothing else.

   Requests arrive at RATE a second (Poisson). The service has SLOTS places of work, exponential with mean 1 s, and a
   first-in-first-out queue of PLACES; who meets both full is refused at once, and tries again after a pause drawn
   evenly from 0 to min(CAP, BASE * 2^(attempts - 1)) s, until it has made ATTEMPTS attempts.

   usage: retry_storm REQUESTS SEED      prints: attempts refused answered seconds-of-latency seconds-of-the-loop

   The draws are those of SplitMix64, one after the other. Given the same ones, the Python programs in retry_storm.py
   reach the same counts. The next arrival waits outside the calendar; no attempt is recorded. The calendar
   is a binary heap, from which an event is taken and into which one is put, as in any textbook; compiled with
   -DREPLACES_FIRST, an event that leads to another is replaced by it in one go. */

#define _POSIX_C_SOURCE 199309L
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RATE 18.0
#define SLOTS 16
#define PLACES 16
#define ATTEMPTS 3
#define BASE 1.0
#define CAP 8.0

#define SERVED 0 /* the kind of an event; any other is the number of the attempt that begins */

typedef struct {
    double time;
    uint32_t request;
    uint32_t kind;
} event;

typedef struct {
    uint64_t random;
    event *heap; /* the earliest first */
    size_t scheduled;
    double *came; /* when each request arrived */
    uint32_t queue[PLACES];
    uint32_t head, waiting, busy;
    uint64_t attempts, refused, answered;
    double latency; /* of the answered, all together */
} storm;

/* ---- chance */

static double uniform(storm *s)
{
    uint64_t z = s->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double exponential(storm *s, double rate)
{
    return -log(1.0 - uniform(s)) / rate;
}

static double pause_after(storm *s, uint32_t attempt)
{
    return uniform(s) * fmin(CAP, BASE * (double)(UINT64_C(1) << (attempt - 1)));
}

/* ---- the calendar: a binary heap */

static void schedule(storm *s, event new)
{
    size_t i = s->scheduled++;
    for (; i > 0 && new.time < s->heap[(i - 1) / 2].time; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = new;
}

/* Put an event in the place of the first. */
static void replace_first(storm *s, event new)
{
    event *heap = s->heap;
    size_t i = 0, child, end = s->scheduled;
    while ((child = 2 * i + 1) + 1 < end) {
        child += heap[child + 1].time < heap[child].time;
        if (new.time <= heap[child].time)
            break;
        heap[i] = heap[child];
        i = child;
    }
    if (child + 1 == end && heap[child].time < new.time) {
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = new;
}

static void remove_first(storm *s)
{
    replace_first(s, s->heap[--s->scheduled]);
}

/* ---- the service and its callers */

/* An attempt begins: is an event to come of it? A place in the queue brings none. */
static bool attempt(storm *s, double now, uint32_t request, uint32_t number, event *next)
{
    s->attempts++;
    if (s->busy < SLOTS) {
        s->busy++;
        *next = (event){now + exponential(s, 1.0), request, SERVED};
        return true;
    }
    if (s->waiting < PLACES) {
        s->queue[(s->head + s->waiting++) % PLACES] = request;
        return false;
    }
    s->refused++;
    if (number == ATTEMPTS)
        return false;
    *next = (event){now + pause_after(s, number), request, number + 1};
    return true;
}

/* A slot is free: does it take up who has waited longest? */
static bool serve_next(storm *s, double now, event *next)
{
    if (s->waiting == 0) {
        s->busy--;
        return false;
    }
    *next = (event){now + exponential(s, 1.0), s->queue[s->head], SERVED};
    s->head = (s->head + 1) % PLACES;
    s->waiting--;
    return true;
}

static void happen(storm *s)
{
    event first = s->heap[0], next;
    bool goes_on;
    if (first.kind == SERVED) {
        s->answered++;
        s->latency += first.time - s->came[first.request];
        goes_on = serve_next(s, first.time, &next);
    } else {
        goes_on = attempt(s, first.time, first.request, first.kind, &next);
    }
#ifdef REPLACES_FIRST
    if (goes_on)
        replace_first(s, next);
    else
        remove_first(s);
#else
    remove_first(s);
    if (goes_on)
        schedule(s, next);
#endif
}

static void play(storm *s, uint32_t requests)
{
    uint32_t arrived = 0;
    double now, arrival = requests > 0 ? exponential(s, RATE) : INFINITY;
    event next;
    while (arrival < INFINITY || s->scheduled > 0) {
        if (s->scheduled > 0 && s->heap[0].time <= arrival) {
            happen(s);
            continue;
        }
        now = s->came[arrived] = arrival;
        arrival = arrived + 1 < requests ? now + exponential(s, RATE) : INFINITY;
        if (attempt(s, now, arrived++, 1, &next))
            schedule(s, next);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: retry_storm REQUESTS SEED\n");
        return 2;
    }
    uint32_t requests = (uint32_t)strtoul(argv[1], NULL, 10);
    storm s = {.random = strtoull(argv[2], NULL, 10)};
    s.heap = malloc(((size_t)requests + SLOTS) * sizeof *s.heap);
    s.came = malloc(((size_t)requests + 1) * sizeof *s.came);
    if (!s.heap || !s.came) {
        fprintf(stderr, "retry_storm: not enough memory for %" PRIu32 " requests\n", requests);
        return 1;
    }
    double started = seconds();
    play(&s, requests);
    double took = seconds() - started;
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %.17g %.9f\n", s.attempts, s.refused, s.answered, s.latency, took);
    free(s.heap);
    free(s.came);
    return 0;
}
