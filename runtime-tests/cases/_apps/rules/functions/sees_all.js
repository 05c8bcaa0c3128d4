exports = async (team) => {
  const teams = context.services.get("mongodb-atlas").db("rules_cases").collection("teams");
  return (await teams.findOne({ name: team, members: context.user.id })) !== null;
};
