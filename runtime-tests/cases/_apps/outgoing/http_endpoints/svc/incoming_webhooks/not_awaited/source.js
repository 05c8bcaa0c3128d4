exports = function (payload) {
  context.services.get("texting").send({ to: "+1", from: "+2", body: "later" });
  return "done";
};
