// In place of the C library's: what OpenJPH asserts of hostile data ends the call with an error, not the process.
#ifdef __cplusplus
extern "C++" [[noreturn]] void vna_assertion_failed(const char *what);
#undef assert
#define assert(holds) ((holds) ? (void)0 : vna_assertion_failed(#holds))
#endif
