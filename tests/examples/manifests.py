"""The forms of the Kubernetes manifests, as far as the examples use them.

From the published schemas: Kubeflow's tfjobs.kubeflow.org v1, KServe's
inferenceservices.serving.kserve.io v1beta1, and the pods of Kubernetes that both contain. A field
that is not here is not checked, and so is refused.
"""

QUANTITIES = {"cpu": str, "memory": str}
CONTAINER = {
    "name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "volumeMounts": [{"name": str, "mountPath": str}],
}
POD = {
    "containers": [CONTAINER],
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str}}],
}
TFJOB = {
    "apiVersion": {"kubeflow.org/v1"},
    "kind": {"TFJob"},
    "metadata": {"name": str},
    "spec": {
        "runPolicy": {"cleanPodPolicy": {"Running", "All", "None"}, "backoffLimit": int},
        "tfReplicaSpecs": {
            "Worker": {
                "replicas": int,
                "restartPolicy": {"Always", "OnFailure", "Never", "ExitCode"},
                "template": {"spec": POD},
            }
        },
    },
}
INFERENCE_SERVICE = {
    "apiVersion": {"serving.kserve.io/v1beta1"},
    "kind": {"InferenceService"},
    "metadata": {"name": str},
    "spec": {
        "predictor": {
            "minReplicas": int,
            "maxReplicas": int,
            "model": {
                "modelFormat": {"name": str},
                "storageUri": str,
                "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
            },
        }
    },
}


def assert_fits(value, form, where="manifest"):
    """Keys are known, values of the right type or one of those allowed."""
    if isinstance(form, dict):
        assert isinstance(value, dict) and set(value) <= set(form), (where, value)
        for key in value:
            assert_fits(value[key], form[key], f"{where}.{key}")
    elif isinstance(form, list):
        assert isinstance(value, list) and value, where
        for i, item in enumerate(value):
            assert_fits(item, form[0], f"{where}[{i}]")
    elif isinstance(form, set):
        assert value in form, (where, value)
    else:
        assert type(value) is form, (where, value)
