// cuBLAS, cuDNN and cuFFT: what has to give an answer; the rest is generated (stubs.py). A call that computes is one
// kernel.
#include <cudnn_version.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fake.h"

namespace fake {

constexpr int CUDNN_TYPE_INT64 = 3;  // of cudnnBackendAttributeType_t
constexpr int CUDNN_TYPE_BACKEND_DESCRIPTOR = 15;
constexpr size_t CUBLAS_VERSION = 130100;
constexpr size_t DESCRIPTOR = 256;  // bytes, more than any
constexpr size_t HEURISTIC = 64;    // bytes of a cublasLtMatmulHeuristicResult_t that are cleared

static int new_handle(void** handle) {
    *handle = new Handle{current_device(), nullptr};
    return 0;
}

static int new_descriptor(void** descriptor) {
    *descriptor = calloc(1, DESCRIPTOR);
    return 0;
}

static int set_stream(void* handle, cudaStream_t stream) {
    static_cast<Handle*>(handle)->stream = stream;
    return 0;
}

// A library launches on its handle's device, whichever is current.
static long launch_with(const char* name, const Handle& handle, cudaStream_t stream) {
    int before = current_device();
    if (before != handle.device && stream == nullptr) {
        refuse(name, cudaErrorInvalidResourceHandle, "the handle is another device's than the current one");
        return 1;
    }
    return launch(name, stream);
}

static size_t version_from(const char* variable, size_t otherwise) {
    const char* given = getenv(variable);
    return given ? strtoull(given, nullptr, 10) : otherwise;
}

}  // namespace fake

using namespace fake;

extern "C" {

long fake_library_kernel(const char* name, void* handle) {
    return launch_with(name, *static_cast<Handle*>(handle), static_cast<Handle*>(handle)->stream);
}

long fake_unknown(const char* name) {
    log_call(name);
    return 0;
}

// cuBLAS

int cublasCreate_v2(void** handle) {
    return new_handle(handle);
}

int cublasSetStream_v2(void* handle, cudaStream_t stream) {
    return set_stream(handle, stream);
}

int cublasGetStream_v2(void* handle, cudaStream_t* stream) {
    *stream = static_cast<Handle*>(handle)->stream;
    return 0;
}

int cublasGetMathMode(void*, int* mode) {
    *mode = 0;
    return 0;
}

int cublasGetPointerMode_v2(void*, int* mode) {
    *mode = 0;
    return 0;
}

size_t cublasLtGetVersion() {
    return CUBLAS_VERSION;
}

int cublasLtCreate(void** handle) {
    return new_handle(handle);
}

int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void* result, int* number) {
    memset(result, 0, HEURISTIC);
    *number = 1;
    return 0;
}

int cublasLtMatmulDescCreate(void** descriptor, int, int) {
    return new_descriptor(descriptor);
}

int cublasLtMatmulPreferenceCreate(void** descriptor) {
    return new_descriptor(descriptor);
}

int cublasLtMatrixLayoutCreate(void** descriptor, int, uint64_t, uint64_t, int64_t) {
    return new_descriptor(descriptor);
}

int cublasLtMatmul(void* handle, void*, const void*, const void*, void*, const void*, void*, const void*, const void*,
                   void*, void*, void*, const void*, void*, size_t, cudaStream_t stream) {
    return static_cast<int>(launch_with("cublasLtMatmul", *static_cast<Handle*>(handle), stream));
}

// cuDNN

int cudnnCreate(void** handle) {
    return new_handle(handle);
}

int cudnnSetStream(void* handle, cudaStream_t stream) {
    return set_stream(handle, stream);
}

int cudnnGetStream(void* handle, cudaStream_t* stream) {
    *stream = static_cast<Handle*>(handle)->stream;
    return 0;
}

// That of the wheel, or FAKE_CUDNN: 91002 is 9.10.2.
size_t cudnnGetVersion() {
    return version_from("FAKE_CUDNN", CUDNN_VERSION);
}

int cudnnGetProperty(int part, int* value) {
    size_t version = cudnnGetVersion();
    *value = static_cast<int>(part == 0 ? version / 10000 : part == 1 ? version / 100 % 100 : version % 100);
    return 0;
}

size_t cudnnGetCudartVersion() {
    return CUDART_VERSION;
}

const char* cudnnGetErrorString(int) {
    return "an error of the pretended cuDNN";
}

void cudnnGetLastErrorString(char* text, size_t size) {
    if (size) {
        text[0] = 0;
    }
}

int cudnnBackendCreateDescriptor(int, void** descriptor) {
    return new_descriptor(descriptor);
}

int cudnnBackendDestroyDescriptor(void* descriptor) {
    free(descriptor);
    return 0;
}

// There is one engine, it needs no workspace, and every other list is empty.
int cudnnBackendGetAttribute(void*, int, int type, int64_t wanted, int64_t* number, void* values) {
    int64_t given = type == CUDNN_TYPE_BACKEND_DESCRIPTOR || (type == CUDNN_TYPE_INT64 && values) ? 1 : 0;
    if (type == CUDNN_TYPE_INT64 && values && wanted > 0) {
        memset(values, 0, sizeof(int64_t) * wanted);
    }
    if (number) {
        *number = given;
    }
    return 0;
}

int cudnnBackendExecute(void* handle, void*, void*) {
    return static_cast<int>(fake_library_kernel("cudnnBackendExecute", handle));
}

int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(void*, int, int, void*, void*, void*, void*, void*,
                                                             size_t* size) {
    *size = 0;
    return 0;
}

int cudnnGetBatchNormalizationBackwardExWorkspaceSize(void*, int, int, void*, void*, void*, void*, void*, void*, void*,
                                                      size_t* size) {
    *size = 0;
    return 0;
}

int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void*, int, int, void*, void*, size_t* size) {
    *size = 0;
    return 0;
}

int cudnnCreateTensorDescriptor(void** descriptor) {
    return new_descriptor(descriptor);
}

int cudnnCreateFilterDescriptor(void** descriptor) {
    return new_descriptor(descriptor);
}

int cudnnCreateConvolutionDescriptor(void** descriptor) {
    return new_descriptor(descriptor);
}

int cudnnCreateActivationDescriptor(void** descriptor) {
    return new_descriptor(descriptor);
}

int cudnnCreateDropoutDescriptor(void** descriptor) {
    return new_descriptor(descriptor);
}

int cudnnCreatePoolingDescriptor(void** descriptor) {
    return new_descriptor(descriptor);
}

// cuFFT, whose plans are numbers; each has its stream.

constexpr int MOST_PLANS = 4096;
static Handle plans[MOST_PLANS];
static int plans_made = 0;

int cufftCreate(int* plan) {
    Guard guard(lock());
    *plan = plans_made++ % MOST_PLANS;
    plans[*plan] = {current_device(), nullptr};
    return 0;
}

int cufftSetStream(int plan, cudaStream_t stream) {
    return set_stream(&plans[plan], stream);
}

int cufftXtMakePlanMany(int, int, void*, void*, long long, long long, int, void*, long long, long long, int, long long,
                        size_t* size, int) {
    *size = 0;
    return 0;
}

int cufftXtExec(int plan, void*, void*, int) {
    return static_cast<int>(fake_library_kernel("cufftXtExec", &plans[plan]));
}
}
