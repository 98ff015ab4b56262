
/*
 * Copyright (C) The ngx_http_socketio_module authors
 */


#include "ngx_sio_fault.h"

#include <ngx_sio_zone.h>

#include <ngx_http.h>

#include <dlfcn.h>
#include <sys/mman.h>


#if (NGX_SIO_FAULTS)


static void ngx_sio_fault_find(void) __attribute__((constructor));
static void ngx_sio_fault_at(const char *file, int line);


static ngx_sio_fault_t  *ngx_sio_fault;


/* The library of t/faults, if it was loaded in front of nginx. */

static void
ngx_sio_fault_find(void)
{
    *(void **) &ngx_sio_fault_refuse = dlsym(RTLD_DEFAULT, "sio_shim_refuse");
}


ngx_int_t
ngx_sio_fault_init_worker(ngx_cycle_t *cycle)
{
    char             *name;
    void             *p;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    name = getenv("SIO_FAULTS");

    if (name == NULL) {
        return NGX_OK;
    }

    fd = ngx_open_file(name, NGX_FILE_RDWR, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE
        || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || ngx_file_size(&fi) < (off_t) sizeof(ngx_sio_fault_t))
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "\"%s\" is no file of faults", name);

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        return NGX_ERROR;
    }

    p = mmap(NULL, sizeof(ngx_sio_fault_t), PROT_READ|PROT_WRITE, MAP_SHARED,
             fd, 0);

    (void) ngx_close_file(fd);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "mmap() \"%s\" failed", name);
        return NGX_ERROR;
    }

    ngx_sio_fault = p;
    ngx_sio_fault_step = ngx_sio_fault_at;

    return NGX_OK;
}


static void
ngx_sio_fault_at(const char *file, int line)
{
    size_t                 len;
    uint64_t               next;
    ngx_sio_fault_t       *ft;
    ngx_sio_fault_plan_t  *plan;

    ft = ngx_sio_fault;

    (void) __atomic_fetch_add(&ft->steps, 1, __ATOMIC_RELAXED);

    next = ngx_sio_load(&ft->next);

    if (next >= NGX_SIO_FAULT_PLANS) {
        return;
    }

    plan = &ft->plan[next];

    if (ngx_sio_load(&plan->left) <= 0
        || plan->spare[0] == (uint64_t) ngx_pid
        || plan->spare[1] == (uint64_t) ngx_pid
        || strstr(file, (char *) plan->file) == NULL
        || __atomic_fetch_sub(&plan->left, 1, __ATOMIC_SEQ_CST) != 1)
    {
        return;
    }

    len = ngx_strlen(file);

    if (len >= NGX_SIO_FAULT_FILE) {
        file += len - NGX_SIO_FAULT_FILE + 1;
    }

    (void) ngx_cpystrn(ft->file, (u_char *) file, NGX_SIO_FAULT_FILE);
    ft->line = line;

    ngx_sio_store(&ft->next, next + 1);

    (void) kill(ngx_pid, plan->signal ? (int) plan->signal : SIGKILL);
}


#if !(NGX_DEBUG_PALLOC)


/*
 * Most pieces of a pool are cut off a block that is there, so a failing
 * malloc() rarely meets them.  The linker hands to these what the module asks
 * of pools: see "make faults".
 */


void *__real_ngx_palloc(ngx_pool_t *pool, size_t size);
void *__wrap_ngx_palloc(ngx_pool_t *pool, size_t size);
void *__real_ngx_pnalloc(ngx_pool_t *pool, size_t size);
void *__wrap_ngx_pnalloc(ngx_pool_t *pool, size_t size);
void *__real_ngx_pcalloc(ngx_pool_t *pool, size_t size);
void *__wrap_ngx_pcalloc(ngx_pool_t *pool, size_t size);
void *__real_ngx_list_push(ngx_list_t *list);
void *__wrap_ngx_list_push(ngx_list_t *list);
ngx_buf_t *__real_ngx_create_temp_buf(ngx_pool_t *pool, size_t size);
ngx_buf_t *__wrap_ngx_create_temp_buf(ngx_pool_t *pool, size_t size);
ngx_http_cleanup_t *__real_ngx_http_cleanup_add(ngx_http_request_t *r,
    size_t size);
ngx_http_cleanup_t *__wrap_ngx_http_cleanup_add(ngx_http_request_t *r,
    size_t size);
void *__real_ngx_array_push(ngx_array_t *a);
void *__wrap_ngx_array_push(ngx_array_t *a);
u_char *__real_ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src);
u_char *__wrap_ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src);
ngx_chain_t *__real_ngx_alloc_chain_link(ngx_pool_t *pool);
ngx_chain_t *__wrap_ngx_alloc_chain_link(ngx_pool_t *pool);
ngx_pool_cleanup_t *__real_ngx_pool_cleanup_add(ngx_pool_t *pool,
    size_t size);
ngx_pool_cleanup_t *__wrap_ngx_pool_cleanup_add(ngx_pool_t *pool,
    size_t size);


void *
__wrap_ngx_palloc(ngx_pool_t *pool, size_t size)
{
    return ngx_sio_refused(POOL) ? NULL : __real_ngx_palloc(pool, size);
}


void *
__wrap_ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_sio_refused(POOL) ? NULL : __real_ngx_pnalloc(pool, size);
}


void *
__wrap_ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_sio_refused(POOL) ? NULL : __real_ngx_pcalloc(pool, size);
}


void *
__wrap_ngx_list_push(ngx_list_t *list)
{
    return ngx_sio_refused(POOL) ? NULL : __real_ngx_list_push(list);
}


ngx_buf_t *
__wrap_ngx_create_temp_buf(ngx_pool_t *pool, size_t size)
{
    return ngx_sio_refused(POOL) ? NULL
                                 : __real_ngx_create_temp_buf(pool, size);
}


ngx_http_cleanup_t *
__wrap_ngx_http_cleanup_add(ngx_http_request_t *r, size_t size)
{
    return ngx_sio_refused(POOL) ? NULL
                                 : __real_ngx_http_cleanup_add(r, size);
}


void *
__wrap_ngx_array_push(ngx_array_t *a)
{
    if (a->nelts == a->nalloc && ngx_sio_refused(POOL)) {
        return NULL;
    }

    return __real_ngx_array_push(a);
}


u_char *
__wrap_ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    return ngx_sio_refused(POOL) ? NULL : __real_ngx_pstrdup(pool, src);
}


ngx_chain_t *
__wrap_ngx_alloc_chain_link(ngx_pool_t *pool)
{
    /* there may be one that was given back */

    if (pool->chain == NULL && ngx_sio_refused(POOL)) {
        return NULL;
    }

    return __real_ngx_alloc_chain_link(pool);
}


ngx_pool_cleanup_t *
__wrap_ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    return ngx_sio_refused(POOL) ? NULL
                                 : __real_ngx_pool_cleanup_add(pool, size);
}


#endif


#endif
