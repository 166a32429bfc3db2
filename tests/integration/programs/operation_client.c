/* A program as somebody else would write it: only the installed header, only the library, in the
 * language of whoever starts it.
 * operation_client CONFIG STATE OPERATION REQUEST THREADS: prints status, side, fallback and the
 * answer of one call, after THREADS threads have made 50 each and got the same bytes. */
#include <banyan.h>

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct banyan *b;
    const char *operation, *request, *wanted;
    int wrong;
};

static void *call_often(void *argument) {
    struct work *w = argument;
    for (int i = 0; i < 50; i++) {
        struct banyan_answer *answer = NULL;
        struct banyan_error error;
        if (banyan_call(w->b, w->operation, w->request, &answer, &error) < 0) {
            fprintf(stderr, "call: %s\n", error.text);
            w->wrong++;
            continue;
        }
        w->wrong += strcmp(banyan_answer_json(answer), w->wanted) != 0;
        banyan_answer_free(answer);
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct banyan *b = NULL;
    struct banyan_error error;
    struct banyan_answer *answer = NULL;
    pthread_t threads[32];
    struct work work[32];
    int count = argc > 5 ? atoi(argv[5]) : 0, wrong = 0;
    if (argc < 6 || count > 32 || !setlocale(LC_ALL, ""))
        return 2;
    const char *point = localeconv()->decimal_point;
    if (banyan_open(argv[1], argv[2], &b, &error) < 0) {
        printf("open %d %s\n", error.code, error.text);
        return 1;
    }
    if (banyan_call(b, argv[3], argv[4], &answer, &error) < 0) {
        printf("call %d %s\n", error.code, error.text);
        banyan_close(b);
        return 1;
    }
    const char *fallback = banyan_answer_fallback(answer);
    for (int i = 0; i < count; i++) {
        work[i] = (struct work){b, argv[3], argv[4], banyan_answer_json(answer), 0};
        if (pthread_create(&threads[i], NULL, call_often, &work[i]) != 0)
            return 3;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        wrong += work[i].wrong;
    }
    printf("%d %s %s %d\n%s\n", banyan_answer_status(answer), banyan_answer_side(answer),
           fallback ? fallback : "-", wrong, banyan_answer_json(answer));
    if (strlen(banyan_answer_json(answer)) != banyan_answer_length(answer))
        return 4;
    if (strcmp(localeconv()->decimal_point, point) != 0)
        return 5;
    banyan_answer_free(answer);
    banyan_close(b);
    return 0;
}
