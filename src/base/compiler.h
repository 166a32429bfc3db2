/* Compiler attributes under one spelling. */
#ifndef BANYAN_BASE_COMPILER_H
#define BANYAN_BASE_COMPILER_H

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define noreturn_ __attribute__((noreturn))
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Defines x##p, the cleanup handler of a pointer variable, from its destructor. */
#define DEFINE_CLEANUP(type, destructor)                                                           \
    static inline void destructor##p(type *p) {                                                    \
        if (*p)                                                                                    \
            destructor(*p);                                                                        \
    }

#endif
