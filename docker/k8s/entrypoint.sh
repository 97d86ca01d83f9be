#!/bin/bash
# The entry point that Spark on Kubernetes expects of an image. Its arguments are `driver` and those of spark-submit, or
# `executor`, with everything else in variables that Spark sets. Any other command is executed as it is.
set -euo pipefail

role=${1:-}

case $role in
  driver)
    shift
    SPARK_HOME=${SPARK_HOME:-$(python -c 'import pyspark; print(pyspark.__path__[0])')}
    export SPARK_HOME
    # In its pod the driver runs in client mode, whatever mode it was submitted with.
    exec "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
      --conf "spark.driver.bindAddress=${SPARK_DRIVER_BIND_ADDRESS:?Spark sets it}" "$@"
    ;;
  executor)
    SPARK_HOME=${SPARK_HOME:-$(python -c 'import pyspark; print(pyspark.__path__[0])')}
    export SPARK_HOME
    # Java options are in SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ... up to the first that is not set.
    options=()
    number=0
    while name=SPARK_JAVA_OPT_$number && [ -n "${!name+set}" ]; do
      options+=("${!name}")
      number=$((number + 1))
    done
    exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" "${options[@]}" \
      "-Xms${SPARK_EXECUTOR_MEMORY:?Spark sets it}" "-Xmx$SPARK_EXECUTOR_MEMORY" \
      -cp "${SPARK_CONF_DIR:-/opt/spark/conf}:$SPARK_HOME/jars/*" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "${SPARK_DRIVER_URL:?Spark sets it}" \
      --executor-id "${SPARK_EXECUTOR_ID:?Spark sets it}" \
      --cores "${SPARK_EXECUTOR_CORES:?Spark sets it}" \
      --app-id "${SPARK_APPLICATION_ID:?Spark sets it}" \
      --hostname "${SPARK_EXECUTOR_POD_IP:?Spark sets it}" \
      --resourceProfileId "${SPARK_RESOURCE_PROFILE_ID:?Spark sets it}" \
      --podName "${SPARK_EXECUTOR_POD_NAME:?Spark sets it}"
    ;;
  *)
    exec "$@"
    ;;
esac
