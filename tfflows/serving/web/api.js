// The served model: rows of numbers in, rows of numbers out, over the V2 inference protocol.

async function answered(request) {
  const response = await request;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export async function listModels() {
  return (await answered(fetch("v1/models"))).models;
}

// Inputs and outputs by signature.
export async function signaturesOf(name) {
  const url = `v2/models/${encodeURIComponent(name)}`;
  return (await answered(fetch(url))).parameters.signatures;
}

export class Model {
  static async load(name) {
    const model = new Model();
    model.url = `v2/models/${encodeURIComponent(name)}`;
    model.pageUrl = `page/models/${encodeURIComponent(name)}`;
    model.facts = await answered(fetch(`${model.pageUrl}/facts`));
    model.signatures = await signaturesOf(name);
    if (model.facts.attributes.length) {
      model.attributes = await answered(fetch(`${model.pageUrl}/attributes`));
    }
    return model;
  }

  // `inputs` has a list of rows by name, a row being a flat list, or one number where the
  // signature takes one; what the signature does not take is left out. The outputs are alike.
  async infer(signature, inputs) {
    const tensors = this.signatures[signature].inputs.map(({ name, datatype, shape }) => ({
      name,
      datatype,
      shape: [inputs[name].length, ...shape.slice(1)],
      data: inputs[name].flat(),
    }));
    const body = JSON.stringify({ parameters: { signature_name: signature }, inputs: tensors });
    const { outputs } = await answered(fetch(`${this.url}/infer`, { method: "POST", body }));
    return Object.fromEntries(outputs.map(({ name, shape, data }) => [name, rows(shape, data)]));
  }

  async uploadImage(file) {
    return (await answered(fetch(`${this.pageUrl}/image`, { method: "POST", body: file }))).pixels;
  }

  // Rows of a CSV file, and names of their columns if there are any.
  async uploadTable(file) {
    return answered(fetch(`${this.pageUrl}/table`, { method: "POST", body: file }));
  }
}

function rows([count, ...shape], data) {
  if (!shape.length) return data;
  const size = shape.reduce((product, n) => product * n, 1);
  return Array.from({ length: count }, (_, i) => data.slice(i * size, (i + 1) * size));
}
