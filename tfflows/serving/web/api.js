// The served model: rows of numbers in, rows of numbers out, over the V2 inference protocol.

async function answered(request) {
  const response = await request;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export class Model {
  static async load() {
    const model = new Model();
    model.facts = await answered(fetch("page/facts"));
    model.url = `v2/models/${encodeURIComponent(model.facts.name)}`;
    model.signatures = (await answered(fetch(model.url))).parameters.signatures;
    if (model.facts.attributes.length) {
      model.attributes = await answered(fetch("page/attributes"));
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

  async upload(file) {
    return (await answered(fetch("page/image", { method: "POST", body: file }))).pixels;
  }
}

function rows([count, ...shape], data) {
  if (!shape.length) return data;
  const size = shape.reduce((product, n) => product * n, 1);
  return Array.from({ length: count }, (_, i) => data.slice(i * size, (i + 1) * size));
}
