/* Answers of an exported flow through TensorFlow's C API; no Python runs.
 *
 *     predict MODEL FOLDER SIGNATURE...
 *
 * MODEL is a SavedModel of `tfflows export`, e.g. models/glow_mnist/1. The inputs of each signature
 * are read from FOLDER/INPUT.npy, float32 or int64 as numpy.save writes them, and its outputs are
 * written to FOLDER/SIGNATURE.OUTPUT.npy, float32. A request that the model refuses ends the
 * program with its message and status 1.
 *
 * Compile it with the headers and libraries that the package tensorflow has, see README.md.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

#define MOST 16 /* inputs or outputs of a signature, dimensions of a tensor */

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static void check(TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) fail("%s", TF_Message(status));
}

/* Protocol buffers, as far as a SavedModel's signatures need them. */

typedef struct {
  const unsigned char *at, *end;
} Bytes;

static uint64_t varint(Bytes *message) {
  uint64_t value = 0;
  for (int shift = 0; message->at < message->end && shift < 64; shift += 7) {
    unsigned char byte = *message->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("The model's signatures cannot be read.");
  return 0;
}

/* The next field of a message: its number, or 0 at the end; `value` is empty for numbers. */
static uint64_t next_field(Bytes *message, Bytes *value) {
  if (message->at == message->end) return 0;
  uint64_t tag = varint(message), size = 0;
  switch (tag & 7) {
    case 0: varint(message); break;
    case 1: size = 8; break;
    case 2: size = varint(message); break;
    case 5: size = 4; break;
    default: fail("The model's signatures cannot be read.");
  }
  if (size > (uint64_t)(message->end - message->at)) fail("The model's signatures are cut off.");
  value->at = message->at;
  message->at += size;
  value->end = message->at;
  return tag >> 3;
}

static Bytes field(Bytes message, uint64_t number) {
  Bytes value, none = {NULL, NULL};
  for (uint64_t found; (found = next_field(&message, &value)) != 0;)
    if (found == number) return value;
  return none;
}

static char *text(Bytes value) {
  size_t size = (size_t)(value.end - value.at);
  char *copy = calloc(size + 1, 1);
  if (copy == NULL) fail("Out of memory.");
  if (size > 0) memcpy(copy, value.at, size);
  return copy;
}

/* The signature of a MetaGraphDef, whose field 5 maps names to signatures. */
static Bytes signature_of(Bytes meta_graph, const char *name) {
  Bytes entry;
  for (uint64_t number; (number = next_field(&meta_graph, &entry)) != 0;) {
    if (number != 5) continue;
    char *key = text(field(entry, 1));
    int is_it = strcmp(key, name) == 0;
    free(key);
    if (is_it) return field(entry, 2);
  }
  fail("The model has no signature %s.", name);
  return entry;
}

/* Names and places in the graph of a signature's inputs (field 1) or outputs (field 2). */
static int tensors_of(Bytes signature, uint64_t kind, TF_Graph *graph, char **names,
                      TF_Output *places) {
  int count = 0;
  Bytes entry;
  for (uint64_t number; (number = next_field(&signature, &entry)) != 0;) {
    if (number != kind) continue;
    if (count == MOST) fail("The signature has more than %d inputs or outputs.", MOST);
    char *tensor = text(field(field(entry, 2), 1)); /* OPERATION:INDEX */
    char *colon = strrchr(tensor, ':');
    if (colon != NULL) *colon = '\0';
    places[count].oper = TF_GraphOperationByName(graph, tensor);
    places[count].index = colon == NULL ? 0 : atoi(colon + 1);
    if (places[count].oper == NULL) fail("The model has no operation %s.", tensor);
    names[count++] = text(field(entry, 1));
    free(tensor);
  }
  return count;
}

/* NumPy's files, format 1.0. */

static void delete_data(void *data, size_t size, void *argument) {
  (void)size, (void)argument;
  free(data);
}

static TF_Tensor *load(const char *path) {
  FILE *file = fopen(path, "rb");
  unsigned char start[10];
  if (file == NULL) fail("There is no input %s.", path);
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY\x01", 7) != 0)
    fail("%s is not a file of numpy.save.", path);
  size_t length = start[8] + 256u * start[9];
  char *header = calloc(length + 1, 1);
  if (header == NULL || fread(header, 1, length, file) != length) fail("%s is cut off.", path);

  TF_DataType type = TF_FLOAT;
  if (strstr(header, "'<i8'") != NULL) type = TF_INT64;
  else if (strstr(header, "'<f4'") == NULL) fail("%s is neither float32 nor int64.", path);
  if (strstr(header, "'fortran_order': False") == NULL) fail("%s is in Fortran's order.", path);
  const char *at = strchr(header, '(');
  if (at == NULL) fail("%s has no shape.", path);
  int64_t shape[MOST];
  int rank = 0;
  size_t size = TF_DataTypeSize(type);
  for (at++; *at != ')' && *at != '\0';) {
    char *end;
    long long extent = strtoll(at, &end, 10);
    if (end == at) { at++; continue; } /* a comma or a space */
    if (rank == MOST) fail("%s has more than %d dimensions.", path, MOST);
    shape[rank++] = extent;
    size *= (size_t)extent;
    at = end;
  }
  void *data = malloc(size > 0 ? size : 1);
  if (data == NULL || fread(data, 1, size, file) != size) fail("%s is cut off.", path);
  free(header);
  fclose(file);
  return TF_NewTensor(type, shape, rank, data, size, delete_data, NULL);
}

static void save(const char *path, TF_Tensor *tensor) {
  if (TF_TensorType(tensor) != TF_FLOAT) fail("%s would not be float32.", path);
  char header[512] = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < TF_NumDims(tensor); i++)
    sprintf(header + strlen(header), "%" PRId64 ", ", TF_Dim(tensor, i));
  strcat(header, "), }");
  size_t length = strlen(header);
  while ((10 + length + 1) % 64 != 0) header[length++] = ' ';
  header[length++] = '\n';

  FILE *file = fopen(path, "wb");
  if (file == NULL) fail("%s cannot be written.", path);
  fwrite("\x93NUMPY\x01\x00", 1, 8, file);
  fputc((int)(length & 0xff), file);
  fputc((int)(length >> 8), file);
  fwrite(header, 1, length, file);
  size_t size = TF_TensorByteSize(tensor);
  int is_whole = fwrite(TF_TensorData(tensor), 1, size, file) == size;
  if (fclose(file) != 0 || !is_whole) fail("%s cannot be written.", path);
}

static void answer(TF_Session *session, TF_Graph *graph, Bytes meta_graph, const char *folder,
                   const char *name, TF_Status *status) {
  Bytes signature = signature_of(meta_graph, name);
  char *input_names[MOST], *output_names[MOST], path[4096];
  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *given[MOST], *found[MOST];
  int num_inputs = tensors_of(signature, 1, graph, input_names, inputs);
  int num_outputs = tensors_of(signature, 2, graph, output_names, outputs);
  for (int i = 0; i < num_inputs; i++) {
    snprintf(path, sizeof path, "%s/%s.npy", folder, input_names[i]);
    given[i] = load(path);
  }
  TF_SessionRun(session, NULL, inputs, given, num_inputs, outputs, found, num_outputs, NULL, 0,
                NULL, status);
  check(status);
  for (int i = 0; i < num_inputs; i++) {
    TF_DeleteTensor(given[i]);
    free(input_names[i]);
  }
  for (int i = 0; i < num_outputs; i++) {
    snprintf(path, sizeof path, "%s/%s.%s.npy", folder, name, output_names[i]);
    save(path, found[i]);
    TF_DeleteTensor(found[i]);
    free(output_names[i]);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) fail("usage: predict MODEL FOLDER SIGNATURE...");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *buffer = TF_NewBuffer();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, buffer, status);
  check(status);
  Bytes meta_graph = {buffer->data, (const unsigned char *)buffer->data + buffer->length};
  for (int i = 3; i < argc; i++) answer(session, graph, meta_graph, argv[2], argv[i], status);

  TF_CloseSession(session, status);
  check(status);
  TF_DeleteSession(session, status);
  TF_DeleteBuffer(buffer);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
