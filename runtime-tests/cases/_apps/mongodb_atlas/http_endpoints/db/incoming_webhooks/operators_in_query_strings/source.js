exports = async function (payload) {
  const things = context.services.get("mongodb-atlas").db("ma_operators_in_query_strings").collection("things");
  return { name: payload.query.name || null, found: await things.count({ name: payload.query.name || "" }) };
};
